use proto::limits;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// tungstenite's defaults are an unlimited write buffer and messages of 64 MiB; ours are the protocol's limits.
/// `read_buffer` is there from the beginning, and filled with zeros at each read: more than 32 KiB cost more than they save.
pub(crate) fn websocket(read_buffer: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(read_buffer)
        .write_buffer_size(64 * 1024)
        .max_write_buffer_size(limits::WS_MAX_MESSAGE)
        .max_message_size(Some(limits::WS_MAX_MESSAGE))
        .max_frame_size(Some(limits::WS_MAX_MESSAGE))
}
