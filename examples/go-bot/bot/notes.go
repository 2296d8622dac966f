// Package bot writes notes as JSON posts to a bot of yours, and reads the bot's signed webhook.
package bot

import (
	"bytes"
	"encoding/json"
	"fmt"

	http "wit_component/sidenote_plugin_http"
	"wit_component/sidenote_plugin_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

type (
	call    = sidenote_plugin_types.Call
	note    = sidenote_plugin_types.Note
	posted  = sidenote_plugin_types.Posted
	failure = sidenote_plugin_types.Failure
)

// PostNote posts one note. The host decides about trying again.
func PostNote(host Host, call call, note note) (posted, *failure) {
	url := host.Config("url").SomeOr("")
	if url == "" {
		return posted{}, fail(sidenote_plugin_types.FailureKind_Invalid, "config",
			"`url` is missing in the configuration", sidenote_plugin_types.Sent_NotSent)
	}
	body, err := marshal(map[string]string{
		"conversation": note.ConversationId,
		"text":         note.Body,
		"key":          call.IdempotencyKey,
	})
	if err != nil {
		return posted{}, fail(sidenote_plugin_types.FailureKind_Invalid, "json", err.Error(),
			sidenote_plugin_types.Sent_NotSent)
	}
	sent := host.Send(http.Request{
		Method: "POST",
		Url:    url,
		Headers: []Tuple2[string, string]{
			{F0: "content-type", F1: "application/json"},
			// The host puts the secret in its place, for hosts that it is granted to.
			{F0: "authorization", F1: "Bearer {{secret:token}}"},
		},
		Body: body,
		// The text holds what people typed: a placeholder in it stays text.
		SecretsInBody: false,
		TimeoutMs:     None[uint32](),
	})
	if sent.Tag() == ResultErr {
		return posted{}, fromError(sent.Err())
	}
	response := sent.Ok()
	if response.Status < 200 || response.Status > 299 {
		return posted{}, fromStatus(response)
	}
	host.Log("posted", []Tuple2[string, string]{{F0: "status", F1: fmt.Sprint(response.Status)}})
	return posted{NoteId: noteID(response.Body)}, nil
}

// JSON as it is sent to a bot: `<` and `&` mean nothing special there.
func marshal(value any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimRight(body.Bytes(), "\n"), err
}

// What the bot calls the note. It has the note also where it doesn't say, so nothing here fails.
func noteID(body []byte) Option[string] {
	var answer struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return None[string]()
	}
	var text string
	var number json.Number
	if json.Unmarshal(answer.ID, &text) == nil {
		return given(text)
	}
	if json.Unmarshal(answer.ID, &number) == nil {
		return given(number.String())
	}
	return None[string]()
}

// An empty text says as little as none.
func given(text string) Option[string] {
	if text == "" {
		return None[string]()
	}
	return Some(text)
}
