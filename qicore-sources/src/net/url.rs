//! URLs, and what of them may be told.

use qicore_data::{Error, Result};
use url::Url;

/// Schemes of HTTP.
pub(crate) const HTTP: [&str; 2] = ["http", "https"];
/// Schemes of WebSockets.
pub(crate) const WS: [&str; 2] = ["ws", "wss"];

/// Reads a base URL, with one of the schemes. What a mistake is told with holds nothing of it.
pub(crate) fn url(text: &str, schemes: &[&str]) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| Error::config("net.url", format!("the URL is malformed: {error}")))?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none() {
        let message = format!("the URL must begin with {}://HOST", schemes.join(":// or "));
        return Err(Error::config("net.url", message));
    }
    Ok(url)
}

/// A path with its query below a base. A path and a query of the base, such as a proxy's token, are kept.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    let query: Vec<_> = base.query().into_iter().chain(query).collect();
    url.set_query((!query.is_empty()).then(|| query.join("&")).as_deref());
    url
}

/// Where a URL leads to, without what may be secret: user, query and fragment.
pub(crate) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// The same of a text that may not be a URL at all.
pub(crate) fn without_secrets(text: &str) -> String {
    Url::parse(text).map_or_else(|_| "[malformed]".to_owned(), |url| place(&url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_base() {
        for (base, path, expected) in [
            ("https://a", "/b?c=1", "https://a/b?c=1"),
            (
                "https://u:p@a:1/proxy/?token=t",
                "/b?c=%22d%22",
                "https://u:p@a:1/proxy/b?token=t&c=%22d%22",
            ),
            ("wss://a/?token=t", "", "wss://a/?token=t"),
            ("wss://a:9443", "/stream", "wss://a:9443/stream"),
        ] {
            let base = url(base, &["https", "wss"]).unwrap();
            assert_eq!(below(&base, path).as_str(), expected);
        }
    }

    #[test]
    fn what_may_be_secret_is_not_told() {
        assert_eq!(
            without_secrets("https://u:p@a:1/proxy/?token=t#x"),
            "https://a:1/proxy/"
        );
        for wrong in [
            "hunter2",
            "ftp://u:hunter2@a",
            "http://u:hunter2@a:port",
            "https://?hunter2",
        ] {
            assert!(!without_secrets(wrong).contains("hunter2"));
            let told = url(wrong, &["http", "https"]).unwrap_err();
            assert!(!format!("{told} {told:?}").contains("hunter2"), "{told:?}");
        }
    }
}
