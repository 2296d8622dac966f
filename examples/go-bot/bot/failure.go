package bot

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	http "wit_component/sidenote_plugin_http"
	types "wit_component/sidenote_plugin_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// `sent` says whether the platform may have the note: `Sent_Sent` where it answered that it doesn't.
func fail(kind types.FailureKind, code, message string, sent types.Sent) *failure {
	return &failure{Kind: kind, Code: code, Message: message, RetryAfterMs: None[uint64](), Sent: sent}
}

// What a response that isn't a success means.
func fromStatus(response http.Response) *failure {
	status := response.Status
	sent := types.Sent_Sent
	// A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that it
	// was turned away.
	if status == 408 || (status >= 500 && status != 503) {
		sent = types.Sent_Unknown
	}
	failure := fail(kindOf(status), strconv.Itoa(int(status)), fmt.Sprintf("the platform answered %d", status), sent)
	for _, header := range response.Headers {
		if strings.EqualFold(header.F0, "retry-after") {
			failure.RetryAfterMs = retryAfterMs(strings.TrimSpace(header.F1), time.Now())
			break
		}
	}
	return failure
}

func kindOf(status uint16) types.FailureKind {
	switch {
	case status == 429:
		return types.FailureKind_RateLimited
	case status == 401 || status == 403:
		return types.FailureKind_Auth
	case status == 404 || status == 410:
		return types.FailureKind_NotFound
	case status == 408 || status >= 500:
		return types.FailureKind_Transient
	default:
		return types.FailureKind_Invalid
	}
}

// What it means that there is no response.
func fromError(err http.Error) *failure {
	kind, code := types.FailureKind_Transient, "http-io"
	switch err.Kind {
	// The operator can mend the first two: the note waits for that.
	case http.ErrorKind_Denied:
		kind, code = types.FailureKind_Auth, "http-denied"
	case http.ErrorKind_Secret:
		kind, code = types.FailureKind_Auth, "http-secret"
	case http.ErrorKind_Invalid:
		kind, code = types.FailureKind_Invalid, "http-invalid"
	case http.ErrorKind_TooLarge:
		kind, code = types.FailureKind_Permanent, "http-too-large"
	case http.ErrorKind_Connect:
		code = "http-connect"
	case http.ErrorKind_Timeout:
		code = "http-timeout"
	}
	return fail(kind, code, err.Message, err.Sent)
}

var seconds = regexp.MustCompile(`^[0-9]{1,10}(\.[0-9]+)?$`)

// The pause that `Retry-After` asks for, in seconds or up to a date; none where it says nothing.
func retryAfterMs(value string, now time.Time) Option[uint64] {
	if seconds.MatchString(value) {
		pause, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return None[uint64]()
		}
		return Some(uint64(math.Ceil(pause)) * 1000)
	}
	at, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", value)
	if err != nil {
		return None[uint64]()
	}
	return Some(uint64(max(0, at.Sub(now).Milliseconds())))
}
