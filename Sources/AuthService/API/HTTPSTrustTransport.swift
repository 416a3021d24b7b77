internal import AuthAPI
internal import Base
internal import EventLoop

/// Reaches the root's proxy over HTTPS: its TLS authority is compared with the pin before the token is sent.
struct HTTPSTrustTransport: TrustTransport {
    private let eventLoop: EventLoop

    init(on eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    func exchange(_ request: TrustRequest, proxy: HostPort, pin: String) async throws(TeleportError) -> TrustResponse {
        try await AuthClient.firstContact(server: proxy, pin: pin, on: eventLoop).client.exchangeTrust(request)
    }
}
