// Package export_sidenote_plugin_webhook is what the bindings call for the export `webhook`.
package export_sidenote_plugin_webhook

import (
	"wit_component/bot"
	"wit_component/sidenote_plugin_webhook"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Receive verifies a request and says what it means.
func Receive(request sidenote_plugin_webhook.Request) Result[[]sidenote_plugin_webhook.Event, sidenote_plugin_webhook.Rejection] {
	events, rejection := bot.Receive(bot.Plugged(), request)
	if rejection != nil {
		return Err[[]sidenote_plugin_webhook.Event, sidenote_plugin_webhook.Rejection](*rejection)
	}
	return Ok[[]sidenote_plugin_webhook.Event, sidenote_plugin_webhook.Rejection](events)
}
