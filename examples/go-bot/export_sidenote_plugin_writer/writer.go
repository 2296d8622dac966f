// Package export_sidenote_plugin_writer is what the bindings call for the export `writer`.
package export_sidenote_plugin_writer

import (
	"wit_component/bot"
	"wit_component/sidenote_plugin_types"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// PostNote posts a note beside its conversation, once.
func PostNote(call sidenote_plugin_types.Call, note sidenote_plugin_types.Note) Result[sidenote_plugin_types.Posted, sidenote_plugin_types.Failure] {
	posted, failure := bot.PostNote(bot.Plugged(), call, note)
	if failure != nil {
		return Err[sidenote_plugin_types.Posted, sidenote_plugin_types.Failure](*failure)
	}
	return Ok[sidenote_plugin_types.Posted, sidenote_plugin_types.Failure](posted)
}
