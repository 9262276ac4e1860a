/// Makes a test of each scenario named, for each transport: an `async fn(Transport)` of this module called `name`
/// becomes `grpc::name` and `ws::name`. A scenario that is not listed is dead code, which the compiler reports. One that
/// cannot pass yet says why: `#[ignore = "why"] name`.
#[macro_export]
macro_rules! over_every_transport {
    ($($(#[$attribute:meta])* $scenario:ident),+ $(,)?) => {
        $crate::over_one_transport!(grpc, Grpc, $($(#[$attribute])* $scenario)+);
        $crate::over_one_transport!(ws, WebSocket, $($(#[$attribute])* $scenario)+);
    };
}

/// What [`over_every_transport!`] consists of.
#[doc(hidden)]
#[macro_export]
macro_rules! over_one_transport {
    ($module:ident, $transport:ident, $($(#[$attribute:meta])* $scenario:ident)+) => {
        mod $module {$(
            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                $crate::within(super::$scenario($crate::Transport::$transport)).await;
            }
        )+}
    };
}
