import Testing

/// One server after the other: when libwebsockets 4.1 ends a context, it closes the descriptor of its event pipe twice, and the second time it
/// may be another thread's.
@Suite("HTTP", .serialized)
enum HTTPTests {}
