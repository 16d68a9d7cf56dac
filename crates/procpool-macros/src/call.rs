//! The engine of `call!`: turns `f(a, &b, 3)` into arguments that travel and a closure that captures nothing.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprCall, ExprMethodCall, ExprReference, Path, Result, UnOp};

/// How many arguments may travel: the library's trait knows tuples up to this size.
const MOST: usize = 12;

pub(crate) fn expand(input: TokenStream) -> Result<TokenStream> {
    let mut input = input.into_iter();
    let Some(TokenTree::Group(procpool)) = input.next() else {
        return Err(Error::new(Span::call_site(), "use `procpool::call!`"));
    };
    let call: TokenStream = input.collect();
    if call.is_empty() {
        return Err(Error::new(Span::call_site(), "`call!` takes a call: `call!(f(a, b))`"));
    }
    let procpool = procpool.stream();
    let call: Expr = syn::parse2(call)?;
    let mut engine = Engine { private: quote!(#procpool::__private), travelling: Vec::new() };
    engine.call(peel(&call))
}

/// Looks through parentheses and the invisible groups that macros put around `$x:expr`.
fn peel(mut expr: &Expr) -> &Expr {
    loop {
        expr = match expr {
            Expr::Group(group) => &group.expr,
            Expr::Paren(paren) => &paren.expr,
            other => return other,
        }
    }
}

/// Whether an argument may stay in the closure: a literal, also negative or behind `&`.
fn is_literal(expr: &Expr) -> bool {
    match peel(expr) {
        Expr::Lit(_) => true,
        Expr::Unary(unary) => matches!(unary.op, UnOp::Neg(_)) && matches!(peel(&unary.expr), Expr::Lit(_)),
        Expr::Reference(reference) => reference.mutability.is_none() && is_literal(&reference.expr),
        _ => false,
    }
}

/// The place of an expression in the source, with the hygiene of the macro: errors point there, lints stay quiet.
fn at(place: &impl Spanned) -> Span {
    Span::mixed_site().located_at(place.span())
}

/// An argument that travels: the variable of the closure that it becomes, and the value to send.
struct Travelling {
    name: Ident,
    value: TokenStream,
}

struct Engine {
    /// The path of `procpool::__private`.
    private: TokenStream,
    travelling: Vec<Travelling>,
}

impl Engine {
    fn call(&mut self, call: &Expr) -> Result<TokenStream> {
        let (inner, path) = match call {
            Expr::Call(call) => self.function(call)?,
            Expr::MethodCall(call) => self.method(call)?,
            other => return Err(not_a_call(other)),
        };
        if let Some(extra) = self.travelling.get(MOST) {
            let text = format!("`call!` sends up to {MOST} arguments: put some of them into a struct");
            return Err(Error::new(extra.name.span(), text));
        }
        let span = at(call);
        let private = self.private(span);
        // One constructor for each number of arguments, so that errors point at an argument.
        let constructor = format_ident!("call_{}", self.travelling.len(), span = span);
        let names = self.travelling.iter().map(|argument| &argument.name);
        let values = self.travelling.iter().map(|argument| &argument.value);
        // `let` ends the life of temporaries (a lock's guard in an argument) before the call is awaited.
        Ok(quote_spanned! {span=> {
            let call = #private::#constructor(#path, #(#values,)* |(#(mut #names,)*)| #inner);
            call
        }})
    }

    /// The path of `procpool::__private`, at a place in the source: errors in a call of it then point there.
    fn private(&self, place: Span) -> TokenStream {
        let moved = self.private.clone().into_iter().map(|mut token| {
            token.set_span(token.span().located_at(place));
            token
        });
        moved.collect()
    }

    /// `path(arguments)`.
    fn function(&mut self, call: &ExprCall) -> Result<(TokenStream, String)> {
        let function = &*call.func;
        let path = match peel(function) {
            Expr::Path(path) => shown(&path.path),
            _ => "closure".to_owned(),
        };
        let arguments = call.args.iter().map(|argument| self.argument(argument)).collect::<Result<Vec<_>>>()?;
        let attributes = &call.attrs;
        let mut inner = quote!(#(#attributes)* #function);
        call.paren_token.surround(&mut inner, |tokens| tokens.extend(quote!(#(#arguments),*)));
        Ok((inner, path))
    }

    /// `receiver.method(arguments)`: the receiver travels first.
    fn method(&mut self, call: &ExprMethodCall) -> Result<(TokenStream, String)> {
        let receiver = self.argument(&call.receiver)?;
        let arguments = call.args.iter().map(|argument| self.argument(argument)).collect::<Result<Vec<_>>>()?;
        let ExprMethodCall { attrs, dot_token, method, turbofish, paren_token, .. } = call;
        let mut inner = quote!(#(#attrs)* #receiver #dot_token #method #turbofish);
        paren_token.surround(&mut inner, |tokens| tokens.extend(quote!(#(#arguments),*)));
        Ok((inner, method.to_string()))
    }

    /// Says what stands for an argument in the closure, and notes what must travel for it.
    fn argument(&mut self, argument: &Expr) -> Result<TokenStream> {
        if is_literal(argument) {
            return Ok(argument.to_token_stream());
        }
        // Parentheses that a receiver needs, `(&x).f()`, would be superfluous in their new place.
        let argument = peel(argument);
        let span = at(argument);
        let private = self.private(span);
        let name = format_ident!("argument_{}", self.travelling.len(), span = span);
        let (value, used) = match argument {
            Expr::Reference(ExprReference { mutability: Some(_), .. }) => {
                return Err(Error::new_spanned(
                    argument,
                    "a `&mut` argument cannot reach another process: pass it by value and return it",
                ));
            }
            Expr::Reference(reference) => {
                // The `&` becomes the macro's, since clippy would advise against the one in `&*s`, which is needed here.
                let lent = &reference.expr;
                let lent = quote_spanned!(span=> &#lent);
                let value = if is_self(&reference.expr) {
                    // `self` may be a reference itself, and a reference to a reference cannot travel.
                    quote_spanned! {span=> {
                        use #private::{Lend as _, LendThrough as _};
                        #private::Borrowed(#lent).procpool_lend()
                    }}
                } else {
                    quote_spanned!(span=> #private::lend(#lent))
                };
                (value, quote_spanned!(span=> #name.get()))
            }
            value => (value.to_token_stream(), quote_spanned!(span=> #name)),
        };
        self.travelling.push(Travelling { name, value });
        Ok(used)
    }
}

fn is_self(expr: &Expr) -> bool {
    matches!(peel(expr), Expr::Path(path) if path.path.is_ident("self"))
}

/// A path as a name: without generic arguments and without `crate::`.
fn shown(path: &Path) -> String {
    let segments = path.segments.iter().map(|segment| segment.ident.to_string()).filter(|segment| segment != "crate");
    segments.collect::<Vec<_>>().join("::")
}

fn not_a_call(expr: &Expr) -> Error {
    let text = match expr {
        Expr::Await(_) | Expr::Try(_) => {
            "`call!` takes only the call, which happens in another process: \
             what is done with its result stands outside, `pool.run(call!(f(a))).await?`"
        }
        Expr::Closure(_) => "`call!` takes a call, `call!(f(a))`, not a closure: give the code a name, `fn f`",
        Expr::Path(_) => "`call!` takes a call: write the arguments too, `call!(f(a, b))`, or `call!(f())`",
        Expr::Macro(_) => "`call!` takes a call of a function, not of a macro: put it into a function",
        Expr::Struct(_) => "a value that implements `Task` needs no `call!`: `pool.run(value)`",
        _ => "`call!` takes a call of a function or method: `call!(f(a, b))`",
    };
    Error::new_spanned(expr, text)
}
