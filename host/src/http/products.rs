//! Which products a request may be about, by who asks.
//!
//! Where the product is in the address, or the route is about the whole host, the gate decides. Where it is in the body or
//! the query, whatever is read of them is narrowed here before a handler has it: see [`Wanted`](super::json::Wanted) and
//! [`Asked`](super::query::Asked), which can't be read without.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::Arc;

use http::StatusCode;

use super::answer::Refused;
use super::backend::{Backend, NoProduct};
use crate::access::{Caller, Products};
use crate::ids::ProductId;

/// Checks that a caller may ask about this product.
pub(super) fn check(caller: &Caller, product: &str) -> Result<(), Refused> {
    if caller.products.allow(product) { Ok(()) } else { Err(foreign(&caller.products)) }
}

/// The products that a list is narrowed to, where somebody asks for it with this filter; `None`: to none but the filter's.
pub(super) fn narrowed(
    caller: &Caller,
    named: Option<&ProductId>,
) -> Result<Option<BTreeSet<ProductId>>, Refused> {
    match named {
        Some(product) => check(caller, product.as_str()).map(|()| None),
        None => Ok(caller.products.limit().cloned()),
    }
}

/// The product that is meant, where it may be left out: then the only one that the caller may ask about.
pub(super) fn meant(
    caller: &Caller,
    named: Option<ProductId>,
) -> Result<Option<ProductId>, Refused> {
    match (named, caller.products.limit()) {
        (None, None) => Ok(None),
        (Some(product), _) => check(caller, product.as_str()).map(|()| Some(product)),
        (None, Some(products)) => match (products.first(), products.len()) {
            (Some(only), 1) => Ok(Some(only.clone())),
            (Some(_) | None, _) => Err(Refused::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "which_product",
                format!("this key is for the products {}", caller.products),
                "say which one is meant",
            )),
        },
    }
}

/// What is answered to a caller who asks about another product.
pub(super) fn foreign(products: &Products) -> Refused {
    Refused::new(
        StatusCode::FORBIDDEN,
        "product",
        format!("this key is for {products}, and the request is about another product"),
        "ask about a product of the key, or use a key for the other one",
    )
}

/// What is answered to a caller who asks about the whole host.
pub(super) fn whole_host(products: &Products) -> Refused {
    Refused::new(
        StatusCode::FORBIDDEN,
        "product",
        format!("this key is for {products}, and this is about the whole host"),
        "use a key for all products (`sidenote key new NAME --all-products`), or `server.token`",
    )
}

/// A product that the caller may ask about. What people did is looked up by this alone.
pub(super) struct AllowedProduct(Arc<str>);

/// Why there is none.
pub(super) enum NotAllowed {
    /// The caller may not ask about it.
    Foreign(Products),
    /// None is meant.
    No(NoProduct),
}

impl AllowedProduct {
    /// The product of this name; without a name the only one, of those that the caller may ask about.
    pub(super) fn of(
        backend: &dyn Backend,
        caller: &Caller,
        named: Option<&str>,
    ) -> Result<Self, NotAllowed> {
        let named = match (named, caller.products.limit()) {
            (Some(named), _) if !caller.products.allow(named) => {
                return Err(NotAllowed::Foreign(caller.products.clone()));
            }
            (None, Some(products)) if products.len() == 1 => {
                products.first().map(ProductId::as_str)
            }
            (None, Some(products)) => {
                let ids = products.iter().map(ToString::to_string).collect();
                return Err(NotAllowed::No(NoProduct::Several(ids)));
            }
            (named, _) => named,
        };
        backend.product(named).map(Self).map_err(NotAllowed::No)
    }
}

impl Deref for AllowedProduct {
    type Target = Arc<str>;

    fn deref(&self) -> &Arc<str> {
        &self.0
    }
}
