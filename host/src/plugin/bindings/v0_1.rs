//! Generated from `wit/frozen/0.1.0`.

wasmtime::component::bindgen!({
    path: "../wit/frozen/0.1.0",
    world: "host-side",
    imports: { "sidenote:plugin/http.send": async },
    exports: { default: async },
    require_store_data_send: true,
});
