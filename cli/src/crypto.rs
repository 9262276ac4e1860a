//! What does the mathematics of TLS.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// The provider that both programs were built with: ring, or aws-lc with the feature `aws-lc-rs`. Either one speaks TLS 1.3
/// and 1.2.
pub fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    use rustls::crypto::aws_lc_rs as library;
    #[cfg(not(feature = "aws-lc-rs"))]
    use rustls::crypto::ring as library;

    Arc::new(library::default_provider())
}
