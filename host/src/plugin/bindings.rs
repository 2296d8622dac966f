//! Generated from `wit/`: every interface that a plugin may export, and every import.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "host-side",
    imports: { "sidenote:plugin/http.send": async },
    exports: { default: async },
    require_store_data_send: true,
});
