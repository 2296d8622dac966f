package bot

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

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
		return nil, reject(405, "method", "only POST is taken")
	}
	if rejection := verify(host, request); rejection != nil {
		return nil, rejection
	}
	if !utf8.Valid(request.Body) {
		return nil, reject(400, "body", "the body isn't UTF-8")
	}
	var message message
	if json.Unmarshal(request.Body, &message) != nil || message.isNull(request.Body) {
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
	Event        string `json:"event"`
	Conversation string `json:"conversation"`
	Session      string `json:"session"`
	User         string `json:"user"`
	Email        string `json:"email"`
	Product      string `json:"product"`
	Text         string `json:"text"`
}

// Whether the body is `null`, which fits any type.
func (message) isNull(body []byte) bool {
	return strings.TrimSpace(string(body)) == "null"
}

func (message message) turn() turn {
	return turn{
		ConversationId: message.Conversation,
		SessionId:      given(message.Session),
		ExternalUserId: given(message.User),
		Email:          given(message.Email),
		ProductId:      given(message.Product),
		Text:           given(message.Text),
	}
}

func reject(status uint16, code, message string) *rejection {
	return &rejection{Status: status, Code: code, Message: message}
}
