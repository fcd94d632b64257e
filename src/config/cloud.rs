//! Of the section `ecs`: how calls are made, and in whose name.

use super::reader::Section;
use super::secret::{PASSWORD, SecretSource, WORD};
use super::units::{base_url, number, text, word};
use super::yaml::Tree;
use secrecy::SecretString;
use std::str::FromStr;

/// In whose name calls to the cloud are made.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// Every call is signed with an access key.
    Key {
        /// The access key.
        access_key: SecretString,
        /// Its secret key.
        secret_key: SecretString,
        /// What goes with a temporary one.
        security_token: Option<SecretString>,
    },
    /// Calls are signed with the temporary keys of the agency of the instance that this runs on.
    Agency {
        /// Base URL of the metadata service, without a final slash.
        metadata_endpoint: String,
    },
    /// Calls carry a token that an IAM user gets for a password.
    Password {
        /// The account that the user belongs to.
        domain: String,
        /// The user's name.
        user: String,
        /// The user's password.
        password: SecretString,
    },
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Key,
    Agency,
    Password,
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "key" => Ok(Self::Key),
            "agency" => Ok(Self::Agency),
            "password" => Ok(Self::Password),
            _ => Err(()),
        }
    }
}

/// The edition of the call that creates servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateApi {
    /// `POST /v1/…/cloudservers`.
    V1,
    /// `POST /v1.1/…/cloudservers`.
    V1_1,
}

impl FromStr for CreateApi {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "v1" => Ok(Self::V1),
            "v1.1" => Ok(Self::V1_1),
            _ => Err(()),
        }
    }
}

/// How many calls may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Calls that change nothing, in a second.
    pub reads_per_second: u32,
    /// Calls that change something, in a minute.
    pub writes_per_minute: u32,
}

pub(super) fn read_credentials(
    ecs: &Section<'_>,
    secrets: &dyn SecretSource,
) -> Option<Credentials> {
    let kind = word("key, agency or password");
    match ecs.or("credentials", Kind::Key, kind)? {
        Kind::Key => read_key(ecs, secrets),
        Kind::Agency => {
            let endpoint = "http://169.254.169.254".to_owned();
            let endpoint = ecs.or("metadata_endpoint", endpoint, |tree| {
                base_url(tree).map(|base| base.url)
            });
            Some(Credentials::Agency {
                metadata_endpoint: endpoint?,
            })
        }
        Kind::Password => {
            let domain = ecs.required("iam_domain", name);
            let user = ecs.required("iam_user", name);
            let password = ["iam_password_env", "iam_password_file"];
            let password = ecs.secret(password, PASSWORD, secrets);
            Some(Credentials::Password {
                domain: domain?,
                user: user?,
                password: password?,
            })
        }
    }
}

fn read_key(ecs: &Section<'_>, secrets: &dyn SecretSource) -> Option<Credentials> {
    let access_key = ecs.secret(["access_key_env", "access_key_file"], WORD, secrets);
    let secret_key = ecs.secret(["secret_key_env", "secret_key_file"], WORD, secrets);
    let token = ["security_token_env", "security_token_file"];
    let given = token.map(|key| ecs.get(key).is_some());
    let security_token = match given {
        [false, false] => None,
        _ => Some(ecs.secret(token, WORD, secrets)?),
    };
    Some(Credentials::Key {
        access_key: access_key?,
        secret_key: secret_key?,
        security_token,
    })
}

pub(super) fn read_rates(ecs: &Section<'_>) -> Option<Rates> {
    let reads = ecs.or("reads_per_second", 20, number(1..=1000));
    let writes = ecs.or("writes_per_minute", 30, number(1..=60_000));
    Some(Rates {
        reads_per_second: reads?,
        writes_per_minute: writes?,
    })
}

/// The name of an account or of a user of it.
fn name(tree: &Tree) -> Result<String, String> {
    let lawful = |c: char| !c.is_control();
    text("1 to 64 characters", 64, lawful)(tree)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, SecretPlace};
    use super::*;

    const SHIPPED: &str = include_str!("../../config.yaml");
    const KEY: &str =
        "  access_key_env: OBS_SCALER_ACCESS_KEY\n  secret_key_env: OBS_SCALER_SECRET_KEY\n";

    /// Reads the shipped document with other credentials.
    fn read(lines: &str) -> Result<Credentials, String> {
        const WAY: &str = "  credentials: key # default key\n";
        assert!(SHIPPED.contains(KEY) && SHIPPED.contains(WAY));
        let long = |place: &SecretPlace| {
            let word = format!("{place}").replace(' ', "");
            Ok(SecretString::from(word.repeat(4)))
        };
        let text = SHIPPED.replace(WAY, "").replace(KEY, lines);
        let config = Config::parse(&text, &long);
        let config = config.map_err(|faults| faults.to_string())?;
        Ok(config.ecs.credentials)
    }

    #[test]
    fn every_way_to_be_somebody_is_read() {
        assert!(matches!(
            read(KEY),
            Ok(Credentials::Key {
                security_token: None,
                ..
            })
        ));
        let temporary = format!("{KEY}  security_token_file: /etc/token\n");
        let read_token = read(&temporary).unwrap();
        assert!(matches!(
            read_token,
            Credentials::Key {
                security_token: Some(_),
                ..
            }
        ));
        let agency = read("  credentials: agency\n").unwrap();
        let Credentials::Agency { metadata_endpoint } = agency else {
            panic!("{agency:?}");
        };
        assert_eq!(metadata_endpoint, "http://169.254.169.254");
        let password = "  credentials: password\n  iam_domain: acme\n  iam_user: scaler\n  \
            iam_password_env: PASSWORD\n";
        assert!(matches!(read(password), Ok(Credentials::Password { .. })));
    }

    #[test]
    fn keys_of_another_way_are_faults() {
        let both = format!("  credentials: agency\n{KEY}");
        let faults = read(&both).unwrap_err();
        assert!(
            faults.contains("ecs.access_key_env: found an unknown key"),
            "{faults}"
        );
        let none = read("  credentials: password\n").unwrap_err();
        assert!(none.contains("ecs.iam_user"), "{none}");
    }
}
