//! JSON objects whose keys must be unique: a second tensor of the same name is an error, not an update.

use indexmap::IndexMap;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, Visitor},
};
use std::{fmt, marker::PhantomData};

/// The key under which safetensors keeps free text, which is no tensor.
const METADATA: &str = "__metadata__";

/// An object in the order of its file, without [`METADATA`].
pub(super) struct UniqueMap<V>(pub IndexMap<String, V>);

impl<'de, V: DeserializeOwned> Deserialize<'de> for UniqueMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);
        impl<'de, V: DeserializeOwned> Visitor<'de> for Entries<V> {
            type Value = IndexMap<String, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a tensor's name for each key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = IndexMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == METADATA {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    if entries.contains_key(&name) {
                        return Err(A::Error::custom(format_args!(
                            "the tensor `{name}` is there twice"
                        )));
                    }
                    entries.insert(name, map.next_value()?);
                }
                Ok(entries)
            }
        }
        deserializer
            .deserialize_map(Entries(PhantomData))
            .map(UniqueMap)
    }
}
