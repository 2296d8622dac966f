//! Generated from `wit/frozen/0.1.0`.

wasmtime::component::bindgen!({
    path: "../wit/frozen/0.1.0",
    world: "every-interface",
    imports: { "sidenote:plugin/http.send": async },
    exports: { default: async },
    // What is handed to a guest is read where it stands: a note has some twenty texts.
    ownership: Borrowing { duplicate_if_necessary: true },
    require_store_data_send: true,
});
