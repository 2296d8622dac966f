package bot

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	http "wit_component/sidenote_plugin_http"
	types "wit_component/sidenote_plugin_types"
	"wit_component/sidenote_plugin_webhook"

	. "go.bytecodealliance.org/pkg/wit/types"
)

const typed = "he typed {{secret:token}} <✓>"

func sign(key string, data []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}

// A host in memory, which answers every request the same.
func hostThat(answer Result[http.Response, http.Error], sent *[]http.Request) Host {
	return Host{
		Config: func(string) Option[string] { return Some("https://bot.example/notes") },
		Send: func(request http.Request) Result[http.Response, http.Error] {
			*sent = append(*sent, request)
			return answer
		},
		Verify: func(name string, data []byte, signature string) Result[bool, string] {
			if name != secret {
				return Err[bool, string]("no such secret")
			}
			return Ok[bool, string](sign("s", data) == signature)
		},
		Log: func(string, []Tuple2[string, string]) {},
	}
}

func post(status uint16, body string, headers ...Tuple2[string, string]) (posted, *failure, []http.Request) {
	var sent []http.Request
	response := http.Response{Status: status, Headers: headers, Body: []byte(body)}
	host := hostThat(Ok[http.Response, http.Error](response), &sent)
	posted, failure := PostNote(host, call{IdempotencyKey: "k1"}, note{ConversationId: "c1", Body: typed})
	return posted, failure, sent
}

func TestANoteIsPostedWithItsKeyAndTheIdOfTheAnswerIsItsId(t *testing.T) {
	posted, failure, sent := post(201, `{"id":"n1"}`)
	if failure != nil || posted.NoteId.SomeOr("") != "n1" {
		t.Fatal(posted, failure)
	}
	var body map[string]string
	if err := json.Unmarshal(sent[0].Body, &body); err != nil {
		t.Fatal(err)
	}
	if body["conversation"] != "c1" || body["text"] != typed || body["key"] != "k1" || len(body) != 3 {
		t.Fatal(body)
	}
	if sent[0].SecretsInBody || sent[0].Headers[1].F1 != "Bearer {{secret:token}}" {
		t.Fatal(sent[0])
	}
}

func TestAnAnswerWithoutAnIdIsNoFailure(t *testing.T) {
	cases := map[string]string{`{"id":17}`: "17", `{"id":""}`: "", `{"ok":true}`: "", "null": "", "thanks": "", "": "", `{"id":[1]}`: "", `{"id":null}`: ""}
	for body, wanted := range cases {
		if posted, failure, _ := post(200, body); failure != nil || posted.NoteId.SomeOr("") != wanted {
			t.Error(body, posted, failure)
		}
	}
}

func TestStatusesBecomeFailures(t *testing.T) {
	cases := []struct {
		status uint16
		kind   types.FailureKind
		sent   types.Sent
	}{
		{429, types.FailureKind_RateLimited, types.Sent_Sent},
		{401, types.FailureKind_Auth, types.Sent_Sent},
		{404, types.FailureKind_NotFound, types.Sent_Sent},
		{408, types.FailureKind_Transient, types.Sent_Unknown},
		{500, types.FailureKind_Transient, types.Sent_Unknown},
		{503, types.FailureKind_Transient, types.Sent_Sent},
		{422, types.FailureKind_Invalid, types.Sent_Sent},
	}
	for _, c := range cases {
		_, failure, _ := post(c.status, "")
		if failure == nil || failure.Kind != c.kind || failure.Sent != c.sent {
			t.Error(c, failure)
		}
	}
}

func TestRetryAfterIsReadAsSecondsOrADate(t *testing.T) {
	cases := map[string]Option[uint64]{
		"7": Some[uint64](7000), "0.5": Some[uint64](1000), " 30 ": Some[uint64](30_000), "-1": None[uint64](),
		"soon": None[uint64](), "Sun, 06 Nov 1994 08:49:37 GMT": Some[uint64](0),
	}
	for value, wanted := range cases {
		_, failure, _ := post(429, "", Tuple2[string, string]{F0: "retry-after", F1: value})
		if failure == nil || failure.RetryAfterMs != wanted {
			t.Error(value, failure)
		}
	}
}

func TestNoResponseIsAFailureThatSaysWhetherTheRequestMayHaveArrived(t *testing.T) {
	var sent []http.Request
	denied := http.Error{Kind: http.ErrorKind_Denied, Message: "why", Sent: types.Sent_NotSent}
	host := hostThat(Err[http.Response, http.Error](denied), &sent)
	_, failure := PostNote(host, call{}, note{})
	if failure == nil || failure.Kind != types.FailureKind_Auth || failure.Sent != types.Sent_NotSent {
		t.Fatal(failure)
	}
}

func receive(body, key, method string, times int) ([]event, *rejection) {
	var headers []Tuple2[string, string]
	for range times {
		headers = append(headers, Tuple2[string, string]{F0: signatureHeader, F1: "sha256=" + sign(key, []byte(body))})
	}
	var sent []http.Request
	host := hostThat(Ok[http.Response, http.Error](http.Response{}), &sent)
	return Receive(host, request{Method: method, Headers: headers, Body: []byte(body)})
}

func TestASignedWebhookBecomesAnEvent(t *testing.T) {
	events, rejection := receive(`{"event":"opened","conversation":"c1","session":"s1","email":"","text":"hi"}`, "s", "POST", 1)
	if rejection != nil || len(events) != 1 || events[0].Tag() != sidenote_plugin_webhook.Event_Opened {
		t.Fatal(events, rejection)
	}
	turn := events[0].Opened()
	if turn.ConversationId != "c1" || turn.SessionId != Some("s1") || turn.Email != None[string]() {
		t.Fatal(turn)
	}
	events, _ = receive(`{"event":"closed"}`, "s", "POST", 1)
	if len(events) != 1 || events[0].Tag() != sidenote_plugin_webhook.Event_Ignored {
		t.Fatal(events)
	}
}

func TestNumbersAreIdsTooAndHalfOfASurrogatePairTakesNothingWithIt(t *testing.T) {
	body := `{"event":"opened","conversation":7,"user":4711,"session":1.5,"text":"hm \ud83d"}`
	events, rejection := receive(body, "s", "POST", 1)
	if rejection != nil {
		t.Fatal(rejection)
	}
	turn := events[0].Opened()
	if turn.ConversationId != "7" || turn.ExternalUserId != Some("4711") || turn.SessionId != None[string]() ||
		turn.Text != Some("hm \ufffd") {
		t.Fatal(turn)
	}
}

func TestTheBotVouchesForWhatItSaysUnlessItSaysOtherwise(t *testing.T) {
	cases := map[string]string{
		"":                             "session-id email",
		`,"verified":true`:             "session-id email",
		`,"verified":null`:             "session-id email",
		`,"verified":["email","user"]`: "email",
		`,"verified":false`:            "",
		`,"verified":"email"`:          "",
		`,"verified":[]`:               "",
	}
	for more, names := range cases {
		body := `{"event":"opened","conversation":"c1","session":"s1","email":"a@b.example"` + more + `}`
		events, rejection := receive(body, "s", "POST", 1)
		if rejection != nil {
			t.Fatal(rejection)
		}
		extras := events[0].Opened().Extras
		wanted := []Tuple2[string, string]{{F0: "verified", F1: names}}
		if names == "" && len(extras) != 0 || names != "" && (len(extras) != 1 || extras[0] != wanted[0]) {
			t.Error(more, extras)
		}
	}
}

func TestWhatCannotBeVerifiedOrReadIsRejected(t *testing.T) {
	good := `{"event":"opened","conversation":"c1"}`
	cases := []struct {
		body, key, method string
		times             int
		status            uint16
	}{
		{good, "other", "POST", 1, 401},
		{good, "s", "POST", 0, 401},
		{good, "s", "POST", 2, 401},
		{good, "s", "GET", 1, 405},
		{"{", "s", "POST", 1, 400},
		{"null", "s", "POST", 1, 400},
		{"[]", "s", "POST", 1, 400},
		{`{"event":"opened"}`, "s", "POST", 1, 400},
		{`{"event":"opened","conversation":[7]}`, "s", "POST", 1, 400},
		{`{"event":"opened","conversation":" "}`, "s", "POST", 1, 400},
	}
	for _, c := range cases {
		if _, rejection := receive(c.body, c.key, c.method, c.times); rejection == nil || rejection.Status != c.status {
			t.Error(c, rejection)
		}
	}
}
