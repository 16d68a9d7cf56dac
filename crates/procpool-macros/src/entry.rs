//! `#[procpool::main]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Error, ItemFn, LitStr, Result};

use crate::options;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let mut procpool = options::default_crate();
    let mut passed_on = TokenStream::new();
    for option in options::parse(options)? {
        if option.path.is_ident("crate") {
            procpool = options::crate_path(&option)?;
        } else {
            passed_on.extend(quote!(#option,));
        }
    }

    let function: ItemFn = syn::parse2(item)?;
    let ItemFn { attrs, vis, sig, block } = &function;
    if sig.asyncness.is_none() {
        return Err(Error::new_spanned(
            sig.fn_token,
            "`#[procpool::main]` goes on an `async fn`; in a plain `fn main`, call `procpool::init()` first",
        ));
    }
    if !sig.inputs.is_empty() {
        return Err(Error::new_spanned(&sig.inputs, "the main function takes no arguments"));
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        return Err(Error::new_spanned(&sig.generics, "the main function is not generic"));
    }

    // tokio's macro expands to paths below the crate that it is told, so the user needs no dependency on tokio.
    let path = quote!(#procpool::__private::tokio);
    let crate_name = LitStr::new(&path.to_token_stream().to_string().replace(' ', ""), Span::mixed_site());
    let name = &sig.ident;
    let output = &sig.output;
    let span = Span::mixed_site();
    Ok(quote_spanned! {span=>
        #(#attrs)*
        #vis fn #name() #output {
            #[#procpool::__private::tokio::main(#passed_on crate = #crate_name)]
            async fn #name() #output #block

            #procpool::init();
            #name()
        }
    })
}
