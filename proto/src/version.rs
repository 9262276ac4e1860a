use http::Version;

use crate::wire::HttpVersion;

impl From<Version> for HttpVersion {
    fn from(version: Version) -> Self {
        match version {
            Version::HTTP_10 => Self::HttpVersion10,
            Version::HTTP_2 => Self::HttpVersion2,
            Version::HTTP_3 => Self::HttpVersion3,
            _ => Self::HttpVersion11,
        }
    }
}

impl From<HttpVersion> for Version {
    fn from(version: HttpVersion) -> Self {
        match version {
            HttpVersion::HttpVersion10 => Self::HTTP_10,
            HttpVersion::HttpVersion2 => Self::HTTP_2,
            HttpVersion::HttpVersion3 => Self::HTTP_3,
            HttpVersion::Unspecified | HttpVersion::HttpVersion11 => Self::HTTP_11,
        }
    }
}
