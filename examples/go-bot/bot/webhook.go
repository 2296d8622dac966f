package bot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wit_component/sidenote_plugin_webhook"

	. "go.bytecodealliance.org/pkg/wit/types"
)

type (
	request   = sidenote_plugin_webhook.Request
	event     = sidenote_plugin_webhook.Event
	turn      = sidenote_plugin_webhook.Turn
	rejection = sidenote_plugin_webhook.Rejection
)

// The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body.
const signatureHeader = "x-bot-signature"

// The secret that the bot signs with.
const secret = "incoming"

// Receive verifies a request and says what it means.
func Receive(host Host, request request) ([]event, *rejection) {
	if request.Method != "POST" {
		return nil, reject(405, "method", "only POST is accepted")
	}
	if rejection := verify(host, request); rejection != nil {
		return nil, rejection
	}
	var message message
	body := bytes.TrimPrefix(request.Body, []byte("\ufeff"))
	if json.Unmarshal(body, &message) != nil || message.isNull(body) {
		return nil, reject(400, "body", "the body isn't the JSON object that is expected")
	}
	if message.Event != "opened" && message.Event != "replied" {
		return []event{sidenote_plugin_webhook.MakeEventIgnored()}, nil
	}
	if message.Conversation == "" {
		return nil, reject(400, "body", "`conversation` is missing")
	}
	if message.Event == "opened" {
		return []event{sidenote_plugin_webhook.MakeEventOpened(message.turn())}, nil
	}
	return []event{sidenote_plugin_webhook.MakeEventReplied(message.turn())}, nil
}

// Refuses a request that the bot didn't sign. Nothing of it means anything before.
func verify(host Host, request request) *rejection {
	var values []string
	for _, header := range request.Headers {
		if strings.EqualFold(header.F0, signatureHeader) {
			values = append(values, header.F1)
		}
	}
	if len(values) != 1 {
		return reject(401, "signature", fmt.Sprintf("the header %s is missing, or there twice", signatureHeader))
	}
	hex, signed := strings.CutPrefix(values[0], "sha256=")
	if signed {
		genuine := host.Verify(secret, request.Body, hex)
		if genuine.Tag() == ResultErr {
			// The operator gave no such secret: nothing can be verified.
			return reject(503, "secret", genuine.Err())
		}
		if genuine.Ok() {
			return nil
		}
	}
	return reject(401, "signature", fmt.Sprintf("the signature doesn't fit the body and the secret `%s`", secret))
}

// What the bot tells.
type message struct {
	Event        word            `json:"event"`
	Conversation word            `json:"conversation"`
	Session      word            `json:"session"`
	User         word            `json:"user"`
	Email        word            `json:"email"`
	Product      word            `json:"product"`
	Text         word            `json:"text"`
	Verified     json.RawMessage `json:"verified"`
}

// A text of the body, or a whole number as text. A blank one, or anything else, says as little as none.
type word string

// UnmarshalJSON never fails: an odd field takes nothing with it. Half of a surrogate pair becomes U+FFFD.
func (w *word) UnmarshalJSON(value []byte) error {
	*w = ""
	var text string
	if json.Unmarshal(value, &text) == nil {
		if strings.TrimSpace(text) != "" {
			*w = word(text)
		}
		return nil
	}
	_, signed := strconv.ParseInt(string(value), 10, 64)
	_, unsigned := strconv.ParseUint(string(value), 10, 64)
	if signed == nil || unsigned == nil {
		*w = word(value)
	}
	return nil
}

// Whether the body is `null`, which fits any type.
func (message) isNull(body []byte) bool {
	return strings.TrimSpace(string(body)) == "null"
}

func (message message) turn() turn {
	return turn{
		ConversationId: string(message.Conversation),
		SessionId:      given(string(message.Session)),
		ExternalUserId: given(string(message.User)),
		Email:          given(string(message.Email)),
		ProductId:      given(string(message.Product)),
		Text:           given(string(message.Text)),
		Extras:         message.vouched(),
	}
}

// Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body says
// `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself.
func (message message) vouched() []Tuple2[string, string] {
	said := strings.TrimSpace(string(message.Verified))
	all := said == "" || said == "null" || said == "true"
	var listed []word
	if !all && json.Unmarshal(message.Verified, &listed) != nil {
		return nil
	}
	var names []string
	for _, field := range []struct {
		name  word
		value word
		known string
	}{
		{"session", message.Session, "session-id"},
		{"user", message.User, "external-user-id"},
		{"email", message.Email, "email"},
	} {
		if field.value != "" && (all || slices.Contains(listed, field.name)) {
			names = append(names, field.known)
		}
	}
	if names == nil {
		return nil
	}
	return []Tuple2[string, string]{{F0: "verified", F1: strings.Join(names, " ")}}
}

func reject(status uint16, code, message string) *rejection {
	return &rejection{Status: status, Code: code, Message: message}
}
