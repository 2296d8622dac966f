//! Further tables in `plugins.d`: read with the main file, and every mistake told with its own file and line.

use super::*;

/// A plugin and a product, for a file of their own.
const OTHER: &str = "[plugins.other]\nfile = \"webhook.wasm\"\n[products.other]\nplugins = [\"other\", \"webhook\"]\n";

fn with(further: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let further: Vec<_> = further.iter().map(|(name, text)| (Path::new(*name), *text)).collect();
    let set = env.iter().map(|(name, _)| name.to_string()).collect();
    let main = (Path::new("sidenote.toml"), MINIMAL);
    build(main, &further, Path::new("/etc/sidenote"), &env_of(env), set)
}

fn refused(further: &[(&str, &str)]) -> Vec<String> {
    let errors = with(further, &[]).expect_err("the text is wrong");
    errors.problems().iter().map(ToString::to_string).collect()
}

#[test]
fn tables_of_further_files_stand_beside_those_of_the_main_one() {
    let stream = "[streams.second]\nurl = \"https://connector.example.com/stream/other\"\n";
    let config = with(&[("a.toml", OTHER), ("b.toml", stream), ("c.toml", "")], &[]).unwrap();
    let names: Vec<_> = config.plugins.keys().map(|name| &**name).collect();
    assert_eq!(names, ["other", "webhook"]);
    assert_eq!(config.streams.keys().collect::<Vec<_>>(), ["main", "second"]);
    let other = &config.products[&ProductId::new("other").unwrap()];
    assert_eq!(other.plugins.iter().map(|name| &**name).collect::<Vec<_>>(), ["other", "webhook"]);
    assert_eq!(other.delivery, Delivery::default());
}

#[test]
fn the_environment_lies_over_further_files_too() {
    let env = [("SIDENOTE__PLUGINS__OTHER__FILE", "mine.wasm")];
    let config = with(&[("a.toml", OTHER)], &env).unwrap();
    assert_eq!(config.plugins["other"].file, "mine.wasm");
    assert!(with(&[], &env).is_err(), "it overrides nothing there");
}

#[test]
fn a_mistake_in_a_further_file_is_told_with_its_file_and_line() {
    let cases = [
        (
            "\n[plugins.other]\nfil = \"webhook.wasm\"\n",
            "a.toml:3: [plugins.other] unknown key \"fil\"; did you mean \"file\"?",
        ),
        ("[plugins.other]\n[plugins.other]\n", "a.toml:2: this isn't TOML"),
        ("\nplugins = 3\n", "a.toml:2: \"plugins\" is a whole number; write a table"),
        (
            "[products.other]\nplugins = [\"wehbook\"]\n",
            "a.toml:2: [products.other] \"plugins\" names the plugin \"wehbook\", which isn't there; did you mean \"webhook\"?",
        ),
        (
            "[plugins.other.secrets]\nkey = { env = \"KEY\" }\n",
            "a.toml:2: [plugins.other.secrets] \"key\": the environment variable KEY isn't set",
        ),
        (
            "\n[server]\nlisten = \"no\"\n",
            "a.toml:2: \"server\" can't stand in a file of plugins.d",
        ),
        (
            "plugins_folder = \"p\"\n",
            "a.toml:1: \"plugins_folder\" can't stand in a file of plugins.d",
        ),
    ];
    for (text, wanted) in cases {
        let errors = refused(&[("a.toml", text)]);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].starts_with(wanted), "{text}: {errors:?}");
    }
}

#[test]
fn a_table_that_stands_in_two_files_is_an_error_that_names_both() {
    let cases = [
        ("[plugins.webhook]\n", "[plugins.webhook] the table stands in sidenote.toml:4 too"),
        ("[products.\"acme\"]\n", "[products.acme] the table stands in sidenote.toml:5 too"),
        ("[streams.main]\n", "[streams.main] the table stands in sidenote.toml:2 too"),
    ];
    for (text, wanted) in cases {
        let errors = refused(&[("a.toml", text)]);
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(errors[0].starts_with(&format!("a.toml:1: {wanted}")), "{text}: {errors:?}");
    }
    let errors = refused(&[("a.toml", OTHER), ("b.toml", OTHER)]);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[0].starts_with("b.toml:1: [plugins.other] the table stands in a.toml:1 too"));
}

#[test]
fn the_folder_beside_the_file_is_read_in_order_and_hidden_files_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sidenote.toml");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("sidenote.toml", MINIMAL);
    let source = Source::of(&file).with_env(|name| (name == "K").then(|| "key".to_owned()));
    assert_eq!(source.load().unwrap().plugins.len(), 1, "no folder is there");

    std::fs::create_dir(folder.path().join("plugins.d")).unwrap();
    write("plugins.d/b.toml", "[plugins.b.secrets]\nkey = { file = \"key\" }\n");
    write("plugins.d/a.toml", "[plugins.a.secrets]\nkey = { env = \"K\" }\n");
    write("plugins.d/.a.toml.swp.toml", "[");
    write("plugins.d/readme.txt", "[");
    // Relative paths are relative to the configuration file, wherever they stand.
    write("key", "value\n");
    let names: Vec<_> =
        source.further().unwrap().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(names, ["a.toml", "b.toml"]);
    let config = source.load().unwrap();
    assert_eq!(config.plugins["a"].secrets["key"].value.expose(), "key");
    assert_eq!(config.plugins["b"].secrets["key"].value.expose(), "value");

    std::fs::create_dir(folder.path().join("plugins.d/c.toml")).unwrap();
    let errors = source.load().unwrap_err().to_string();
    assert!(errors.contains("c.toml: it is no regular file; repair or remove it"), "{errors}");
}
