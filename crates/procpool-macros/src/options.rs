//! What stands in the parentheses of an attribute.

use proc_macro2::{Span, TokenStream};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprLit, Lit, LitStr, Meta, MetaNameValue, Path, Result, Token};

/// Splits `a = 1, b = "x"` into its parts.
pub(crate) fn parse(options: TokenStream) -> Result<Vec<MetaNameValue>> {
    let parser = Punctuated::<Meta, Token![,]>::parse_terminated;
    parser
        .parse2(options)?
        .into_iter()
        .map(|meta| match meta {
            Meta::NameValue(pair) => Ok(pair),
            other => Err(Error::new_spanned(other, "an option is written `name = value`")),
        })
        .collect()
}

/// The value of an option as a string literal.
pub(crate) fn string(option: &MetaNameValue) -> Result<&LitStr> {
    match &option.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text),
        other => Err(Error::new_spanned(other, "a string is expected here")),
    }
}

/// The path in `crate = "path"`, also accepted without quotes.
pub(crate) fn crate_path(option: &MetaNameValue) -> Result<Path> {
    match &option.value {
        Expr::Path(path) if path.qself.is_none() => Ok(path.path.clone()),
        _ => string(option)?.parse(),
    }
}

/// `::procpool`, unless an option says otherwise.
pub(crate) fn default_crate() -> Path {
    syn::parse_quote_spanned!(Span::mixed_site()=> ::procpool)
}
