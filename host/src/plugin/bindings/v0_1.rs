//! Generated from `wit/frozen/0.1.0`.

wasmtime::component::bindgen!({
    path: "../wit/frozen/0.1.0",
    world: "every-interface-kv-and-timer",
    imports: {
        "sidenote:plugin/http.send": async,
        "sidenote:plugin/kv.get": async,
        "sidenote:plugin/kv.set": async,
        "sidenote:plugin/kv.delete": async,
        "sidenote:plugin/kv.list-keys": async,
        "sidenote:plugin/timer.set": async,
        "sidenote:plugin/timer.cancel": async,
        "sidenote:plugin/timer.list-timers": async,
    },
    exports: { default: async },
    // What is handed to a guest is read where it stands: a note has some twenty texts.
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
