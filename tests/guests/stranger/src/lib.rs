//! Exports something of its own and imports what no host has.

/// Generated.
#[cfg(target_arch = "wasm32")]
mod bindings {
    wit_bindgen::generate!({
        inline: "
            package acme:shell@1.0.0;
            interface run { run: func(command: string) -> string; }
            interface greet { greet: func(name: string) -> string; }
            world stranger { import run; export greet; }
        ",
    });

    struct Stranger;

    impl exports::acme::shell::greet::Guest for Stranger {
        fn greet(name: String) -> String {
            acme::shell::run::run(&name)
        }
    }

    export!(Stranger);
}
