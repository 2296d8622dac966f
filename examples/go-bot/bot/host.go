package bot

import (
	"runtime"
	"runtime/debug"

	config "wit_component/sidenote_plugin_config"
	crypto "wit_component/sidenote_plugin_crypto"
	http "wit_component/sidenote_plugin_http"
	log "wit_component/sidenote_plugin_log"

	. "go.bytecodealliance.org/pkg/wit/types"
)

// Host is what the plugin asks of the host: a test has one of its own.
type Host struct {
	Config func(key string) Option[string]
	Send   func(http.Request) Result[http.Response, http.Error]
	Verify func(secret string, data []byte, signature string) Result[bool, string]
	Log    func(message string, fields []Tuple2[string, string])
}

// Plugged is the host that runs this component. Every export begins with it.
func Plugged() Host {
	tidy()
	return Host{
		Config: config.Get,
		Send: func(request http.Request) Result[http.Response, http.Error] {
			response := http.Send(request)
			used += len(request.Body)
			if response.Tag() == ResultOk {
				used += len(response.Ok().Body)
			}
			return response
		},
		Verify: func(secret string, data []byte, signature string) Result[bool, string] {
			used += len(data)
			return crypto.HmacVerify(secret, crypto.Hash_Sha256, crypto.Encoding_Hex, data, signature)
		},
		Log: func(message string, fields []Tuple2[string, string]) {
			log.Write(log.Level_Debug, message, fields)
		},
	}
}

// The collector must not run while the host hands something over (wasmtime issue 14318): that would stop the
// instance. So it is off, and runs here, between calls.
func init() { debug.SetGCPercent(-1) }

const (
	mostCalls = 64
	mostBytes = 2 << 20
)

// Since the collector last ran.
var calls, used int

func tidy() {
	calls++
	if calls >= mostCalls || used >= mostBytes {
		runtime.GC()
		calls, used = 0, 0
	}
}
