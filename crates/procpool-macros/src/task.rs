//! `#[procpool::task]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{
    Attribute, Error, Expr, FnArg, ItemFn, LitStr, Pat, Path, Result, ReturnType, Signature, Type, TypeImplTrait,
    parse_quote_spanned,
};

use crate::options;

struct Options {
    procpool: Path,
    ty: Option<Ident>,
    name: Option<LitStr>,
}

impl Options {
    fn parse(options: TokenStream) -> Result<Self> {
        let mut parsed = Self { procpool: options::default_crate(), ty: None, name: None };
        for option in options::parse(options)? {
            if option.path.is_ident("crate") {
                parsed.procpool = options::crate_path(&option)?;
            } else if option.path.is_ident("name") {
                parsed.name = Some(stable_name(options::string(&option)?)?);
            } else if option.path.is_ident("ty") {
                let Expr::Path(path) = &option.value else {
                    return Err(Error::new_spanned(
                        &option.value,
                        "`ty` is the name of the type to make: `ty = Resize`",
                    ));
                };
                parsed.ty = Some(path.path.require_ident()?.clone());
            } else {
                return Err(Error::new_spanned(
                    &option.path,
                    "the options are `ty = Name`, `name = \"…\"`, `crate = \"…\"`",
                ));
            }
        }
        Ok(parsed)
    }
}

fn stable_name(name: &LitStr) -> Result<LitStr> {
    let text = name.value();
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Error::new_spanned(name, "a stable name is not empty and has no white space"));
    }
    Ok(name.clone())
}

/// An argument of the function, and a field of the type.
struct Field {
    attributes: Vec<Attribute>,
    name: Ident,
    ty: Type,
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(options)?;
    let mut function: ItemFn = syn::parse2(item)?;
    check(&function.sig)?;
    let fields = fields(&mut function.sig)?;
    check_generics(&function.sig, &fields, options.name.as_ref())?;

    let private = {
        let procpool = &options.procpool;
        quote!(#procpool::__private)
    };
    let called = &function.sig.ident;
    // With the macro's hygiene users' lints do not see a type in snake case.
    let span = Span::mixed_site().located_at(called.span());
    let mut ty = options.ty.clone().unwrap_or_else(|| called.clone());
    ty.set_span(Span::mixed_site().located_at(ty.span()));
    let output: Type = match &function.sig.output {
        ReturnType::Default => parse_quote_spanned!(span=> ()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    let definition = definition(&function, &fields, &ty, &private, span);
    let implementation = implementation(&function, &fields, &ty, &output, &options, span);
    // A registry entry needs one concrete type.
    // Says which type cannot travel, before serde's derive says it in its own words.
    let checks = function.sig.generics.params.is_empty().then(|| {
        let cfg = conditions(&function.attrs);
        let types = fields.iter().map(|field| &field.ty).chain([&output]);
        let checks = types.map(|ty| quote_spanned!(ty.span().resolved_at(span)=> #private::travels::<#ty>();));
        quote_spanned!(span=> #(#cfg)* const _: fn() = || { #(#checks)* };)
    });
    let registration =
        function.sig.generics.params.is_empty().then(|| registration(&function, &fields, &ty, &output, &options, span));
    Ok(quote! {
        #function
        #checks
        #definition
        #implementation
        #registration
    })
}

/// Refuses what cannot be a task, with advice.
fn check(sig: &Signature) -> Result<()> {
    if let Some(token) = &sig.asyncness {
        return Err(Error::new_spanned(
            token,
            "a task is an ordinary function: it has a process of its own and may block; remove `async`",
        ));
    }
    if let Some(token) = &sig.unsafety {
        return Err(Error::new_spanned(token, "a task is a safe function: call this one from a safe wrapper"));
    }
    if let Some(token) = &sig.variadic {
        return Err(Error::new_spanned(token, "a task has a fixed number of arguments"));
    }
    if let Some(lifetime) = sig.generics.lifetimes().next() {
        return Err(Error::new_spanned(lifetime, "a task owns its arguments and its result: it has no lifetimes"));
    }
    if let ReturnType::Type(_, output) = &sig.output {
        refuse_impl(
            output,
            "a task's result needs a type that can be named: return it, or `Box` it into an enum or struct",
        )?;
        if let Type::Reference(reference) = &**output {
            return Err(Error::new_spanned(reference, owned_advice("a task returns an owned value", &reference.elem)));
        }
    }
    Ok(())
}

fn refuse_impl(ty: &Type, advice: &str) -> Result<()> {
    struct Find(Option<TypeImplTrait>);
    impl<'ast> Visit<'ast> for Find {
        fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
            self.0.get_or_insert_with(|| ty.clone());
        }
    }
    let mut find = Find(None);
    find.visit_type(ty);
    find.0.map_or(Ok(()), |found| Err(Error::new_spanned(found, advice)))
}

fn owned_advice(rule: &str, referent: &Type) -> String {
    let owned = match referent {
        Type::Path(path) if path.path.is_ident("str") => "`String` instead of `&str`".to_owned(),
        Type::Path(path) if path.path.is_ident("Path") => "`PathBuf` instead of `&Path`".to_owned(),
        Type::Slice(slice) => {
            let item = slice.elem.to_token_stream();
            format!("`Vec<{item}>` instead of `&[{item}]`")
        }
        other => format!("`{}` without the `&`", other.to_token_stream()),
    };
    format!("{rule}: {owned}")
}

/// Takes the fields from the arguments, and serde's attributes with them.
fn fields(sig: &mut Signature) -> Result<Vec<Field>> {
    sig.inputs
        .iter_mut()
        .map(|input| {
            let argument = match input {
                FnArg::Typed(argument) => argument,
                FnArg::Receiver(receiver) => {
                    let text =
                        "a method is no task: implement `procpool::Task` for the type, or use `call!(value.method())`";
                    return Err(Error::new_spanned(receiver, text));
                }
            };
            match &*argument.ty {
                Type::Reference(reference) if reference.mutability.is_some() => {
                    let text = "a `&mut` argument cannot reach another process: pass it by value and return it";
                    return Err(Error::new_spanned(reference, text));
                }
                Type::Reference(reference) => {
                    let text = owned_advice("a task owns its arguments", &reference.elem);
                    return Err(Error::new_spanned(reference, text));
                }
                ty => refuse_impl(ty, "name the type: `fn f<T: Trait>(x: T)` instead of `x: impl Trait`")?,
            }
            let name = match &*argument.pat {
                Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => name.ident.clone(),
                pattern => {
                    let text =
                        "the argument is a field of the task's type: give it a plain name, and take it apart inside";
                    return Err(Error::new_spanned(pattern, text));
                }
            };
            let (attributes, kept) = argument.attrs.drain(..).partition(|attr| attr.path().is_ident("serde"));
            argument.attrs = kept;
            Ok(Field { attributes, name, ty: (*argument.ty).clone() })
        })
        .collect()
}

/// A type parameter must be found in an argument: the type has no other place for it.
fn check_generics(sig: &Signature, fields: &[Field], name: Option<&LitStr>) -> Result<()> {
    if let (Some(name), false) = (name, sig.generics.params.is_empty()) {
        return Err(Error::new_spanned(
            name,
            "a generic task has no stable name: put `#[procpool::task(name = \"…\")]` on a concrete wrapper, \
             `fn cube_u64(x: u64) -> u64 { cube(x) }`",
        ));
    }
    for parameter in sig.generics.type_params() {
        if !fields.iter().any(|field| mentions(&field.ty, &parameter.ident)) {
            let text = format!("no argument mentions `{0}`, so the task's type cannot know it", parameter.ident);
            return Err(Error::new_spanned(parameter, text));
        }
    }
    Ok(())
}

fn mentions(ty: &Type, parameter: &Ident) -> bool {
    struct Find<'a>(&'a Ident, bool);
    impl<'ast> Visit<'ast> for Find<'_> {
        fn visit_ident(&mut self, ident: &'ast Ident) {
            self.1 |= ident == self.0;
        }
    }
    let mut find = Find(parameter, false);
    find.visit_type(ty);
    find.1
}

/// The attributes that decide whether the function exists at all.
fn conditions(attributes: &[Attribute]) -> Vec<&Attribute> {
    attributes.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

/// The type: the arguments as fields, as visible as the function.
fn definition(function: &ItemFn, fields: &[Field], ty: &Ident, private: &TokenStream, span: Span) -> TokenStream {
    let ItemFn { vis, sig, attrs, .. } = function;
    let cfg = conditions(attrs);
    let docs = attrs.iter().filter(|attr| attr.path().is_ident("doc"));
    let called = plain(&sig.ident);
    let summary = format!("A call of the function [`{called}`](fn@{called}) as a value: a task that a pool can run.");
    let generics = &sig.generics;
    let bounds = &generics.where_clause;
    let serde = path_string(&quote!(#private::serde), span);
    let fields = fields.iter().map(|Field { attributes, name, ty }| {
        let doc = format!("The argument `{}`.", plain(name));
        quote_spanned!(span=> #(#attributes)* #[doc = #doc] #vis #name: #ty)
    });
    quote_spanned! {span=>
        #(#cfg)*
        #(#docs)*
        #[doc = ""]
        #[doc = #summary]
        #[derive(#private::serde::Serialize, #private::serde::Deserialize)]
        #[serde(crate = #serde)]
        #vis struct #ty #generics #bounds { #(#fields),* }
    }
}

/// `impl Task`: calls the function with the fields.
fn implementation(
    function: &ItemFn,
    fields: &[Field],
    ty: &Ident,
    output: &Type,
    options: &Options,
    span: Span,
) -> TokenStream {
    let procpool = &options.procpool;
    let sig = &function.sig;
    let cfg = conditions(&function.attrs);
    let called = &sig.ident;
    let shown = options.name.as_ref().map_or_else(|| plain(called), LitStr::value);

    let mut generics = sig.generics.clone();
    if !generics.params.is_empty() {
        let parameters: Vec<_> = generics.type_params().map(|parameter| parameter.ident.clone()).collect();
        let clause = generics.make_where_clause();
        for parameter in parameters {
            clause.predicates.push(parse_quote_spanned!(span=> #parameter: #procpool::Ship));
        }
        // What the parameters' bounds do not say of the result and of the fields: `T::Item` travels, too.
        clause.predicates.push(parse_quote_spanned!(span=> #output: #procpool::Ship));
        for Field { ty, .. } in fields {
            clause.predicates.push(parse_quote_spanned!(span=> #ty: #procpool::Ship));
        }
    }
    let (declared, used, bounds) = generics.split_for_impl();
    let turbofish = used.as_turbofish();
    let fields = fields.iter().map(|field| &field.name);
    quote_spanned! {span=>
        #(#cfg)*
        impl #declared #procpool::Task for #ty #used #bounds {
            type Output = #output;

            fn run(self) -> #output {
                #called #turbofish (#(self.#fields),*)
            }

            const NAME: ::core::option::Option<&'static str> = ::core::option::Option::Some(#shown);
        }
    }
}

/// The stable name and its place among the program's tasks.
fn registration(
    function: &ItemFn,
    fields: &[Field],
    ty: &Ident,
    output: &Type,
    options: &Options,
    span: Span,
) -> TokenStream {
    let procpool = &options.procpool;
    let private = quote!(#procpool::__private);
    let cfg = conditions(&function.attrs);
    let schema = schema(fields, output);
    let stable = match &options.name {
        Some(name) => name.to_token_stream(),
        None => {
            let called = plain(&function.sig.ident);
            quote_spanned!(span=> ::core::concat!(::core::module_path!(), "::", #called))
        }
    };
    quote_spanned! {span=>
        #(#cfg)*
        const _: () = {
            impl #private::Named for #ty {
                const STABLE_NAME: &'static str = #stable;
            }

            #[#private::linkme::distributed_slice(#private::TASKS)]
            #[linkme(crate = #private::linkme)]
            static TASK: #private::Registration = #private::Registration::of::<#ty>(
                #schema,
                ::core::concat!(::core::file!(), ":", ::core::line!()),
            );
        };
    }
}

/// A hash of the arguments' names and of the types as they are written: FNV-1a, the same wherever it is built.
fn schema(fields: &[Field], output: &Type) -> u64 {
    let mut text = String::new();
    for Field { name, ty, .. } in fields {
        text.push_str(&format!("{}:{},", plain(name), ty.to_token_stream()));
    }
    text.push_str(&format!("->{}", output.to_token_stream()));
    text.bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A name without `r#`.
fn plain(name: &Ident) -> String {
    name.to_string().trim_start_matches("r#").to_owned()
}

/// A path as the string that serde's and tokio's macros take.
fn path_string(path: &TokenStream, span: Span) -> LitStr {
    LitStr::new(&path.to_string().replace(' ', ""), span)
}
