use proto::limits;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// tungstenite's defaults are an unlimited write buffer and messages of 64 MiB; ours are the protocol's limits.
pub(crate) fn websocket() -> WebSocketConfig {
    WebSocketConfig::default()
        // It is filled with zeros at each read: a larger one costs more than it saves.
        .read_buffer_size(32 * 1024)
        .write_buffer_size(64 * 1024)
        .max_write_buffer_size(limits::WS_MAX_MESSAGE)
        .max_message_size(Some(limits::WS_MAX_MESSAGE))
        .max_frame_size(Some(limits::WS_MAX_MESSAGE))
}
