//! The operator's settings of this plugin (`[plugins.NAME.config]`).

use serde::de::value::{Error as ValueError, MapDeserializer};
use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use crate::Failure;

/// The value of a key, or `None` where it isn't set.
pub fn get(key: &str) -> Option<String> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::host::sidenote::plugin::config::get(key);
    #[cfg(not(target_arch = "wasm32"))]
    crate::test::config(key)
}

/// The value of a key that must be set; an empty value counts as not set.
pub fn require(key: &str) -> Result<String, Failure> {
    get(key).filter(|value| !value.is_empty()).ok_or_else(|| missing(key))
}

/// Whether a key is `true`. Not set is `false`; anything but `true` and `false` is refused.
pub fn flag(key: &str) -> Result<bool, Failure> {
    match get(key).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            Err(Failure::config(format!("config key `{key}` must be \"true\" or \"false\"")))
        }
    }
}

/// All settings in a struct: each field is read under its name and parsed into its type (text,
/// numbers, booleans, enums of unit cases, `Option` of those).
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     url: String,
///     retries: Option<u32>,
/// }
/// # sidenote_plugin::test::Host::new().config("url", "https://bot.example").install();
/// let settings: Settings = sidenote_plugin::config::load()?;
/// assert_eq!((settings.url.as_str(), settings.retries), ("https://bot.example", None));
/// # Ok::<(), sidenote_plugin::Failure>(())
/// ```
pub fn load<T: DeserializeOwned>() -> Result<T, Failure> {
    T::deserialize(Settings)
        .map_err(|error| Failure::config(format!("[plugins.NAME.config]: {error}")))
}

fn missing(key: &str) -> Failure {
    Failure::config(format!("config key `{key}` is missing; set it in [plugins.NAME.config]"))
}

/// Reads the fields of a struct by their names.
struct Settings;

impl<'de> de::Deserializer<'de> for Settings {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(de::Error::custom("settings can only be read into a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let set = fields
            .iter()
            .filter_map(|field| get(field).map(|value| (*field, Value { key: field, value })));
        visitor.visit_map(MapDeserializer::new(set))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// One value: text, parsed into what is asked for.
struct Value {
    key: &'static str,
    value: String,
}

impl Value {
    fn parse<T: std::str::FromStr>(&self, wanted: &str) -> Result<T, ValueError> {
        self.value
            .parse()
            .map_err(|_| de::Error::custom(format!("config key `{}` must be {wanted}", self.key)))
    }
}

impl<'de> IntoDeserializer<'de> for Value {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $wanted:literal),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
            visitor.$visit(self.parse($wanted)?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Value {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_string(self.value)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        cases: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        de::Deserializer::deserialize_enum(
            IntoDeserializer::<ValueError>::into_deserializer(self.value),
            name,
            cases,
            visitor,
        )
    }

    parsed! {
        deserialize_bool visit_bool "true or false",
        deserialize_i8 visit_i8 "a whole number",
        deserialize_i16 visit_i16 "a whole number",
        deserialize_i32 visit_i32 "a whole number",
        deserialize_i64 visit_i64 "a whole number",
        deserialize_u8 visit_u8 "a whole number from 0",
        deserialize_u16 visit_u16 "a whole number from 0",
        deserialize_u32 visit_u32 "a whole number from 0",
        deserialize_u64 visit_u64 "a whole number from 0",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number",
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;
    use crate::test::Host;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct Bot {
        url: String,
        limit: u32,
        quiet: Option<bool>,
    }

    #[test]
    fn settings_are_parsed_into_a_struct() {
        Host::new()
            .config("url", "https://a.example")
            .config("limit", "7")
            .config("quiet", "true")
            .install();
        let bot: Bot = load().unwrap();
        assert_eq!(bot, Bot { url: "https://a.example".into(), limit: 7, quiet: Some(true) });
    }

    #[test]
    fn a_missing_or_wrong_setting_names_its_key() {
        Host::new().config("url", "u").install();
        let failure = load::<Bot>().unwrap_err();
        assert!(failure.message.contains("`limit`"), "{}", failure.message);
        Host::new().config("url", "u").config("limit", "many").install();
        let failure = load::<Bot>().unwrap_err();
        assert!(failure.message.contains("`limit` must be a whole number"), "{}", failure.message);
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(require("nothing").unwrap_err().message.contains("`nothing`"));
    }

    #[test]
    fn a_flag_is_true_false_or_refused() {
        Host::new().config("a", "true").config("b", "false").config("c", "yes").install();
        assert_eq!((flag("a"), flag("b"), flag("unset")), (Ok(true), Ok(false), Ok(false)));
        assert!(flag("c").is_err());
    }
}
