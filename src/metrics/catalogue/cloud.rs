use super::families;

const REFUSED: &str =
    "while nothing was refused since the last success of its kind, and after a restart";

families! {
    OBS_SCALER_FLAVOR_BACKOFF: Gauge "obs_scaler_flavor_backoff" ["arch", "flavor", "availability_zone", "cause"] {
        help: "Whether a flavor that the cloud could not give is not being tried in that zone; 0 while one server is tried",
        source: "the error codes of the cloud's answers and of the parts of its jobs",
        absent: REFUSED,
    }
    OBS_SCALER_CLOUD_REFUSES: Gauge "obs_scaler_cloud_refuses" ["pool", "arch", "level", "scope", "cause"] {
        help: "Whether nothing is ordered for a pool because the cloud refuses it; with the scope `all` nothing is released either",
        source: "the error codes of the cloud's answers and of the parts of its jobs",
        absent: REFUSED,
    }
    OBS_SCALER_DELETION_REFUSED: Gauge "obs_scaler_deletion_refused" ["server", "cause"] {
        help: "Whether a server that is to be deleted is left alone because the cloud refuses its deletion",
        source: "the error codes of `POST /v1/PROJECT/cloudservers/delete`",
        absent: REFUSED,
    }
}
