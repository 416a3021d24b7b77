internal import AuthAPI
internal import Base
internal import ClusterModel
internal import EventLoop
internal import HTTPServer
internal import Limits

/// What a stranger may ask on 3080. Each is passed on to the auth server with the proxy's identity, and limited by address.
///
///     GET  /v1/ping               who and where this cluster is
///     GET  /web/newuser/TOKEN     how to go on with an invitation
///     POST the paths of Endpoints the auth API's own: join, login, sign-up, trust exchange
final class WebRoutes: Sendable {
    private let auth: AuthClient
    private let ping: WebPing
    private let clock: any Clock
    /// Keys that are tried: passwords, codes and tokens.
    private let secrets: Lock<RateLimiter<IPAddress>>
    private let questions: Lock<RateLimiter<IPAddress>>

    /// A person mistypes, a script does not; a site behind one address has many hosts that join.
    private static let secretRate = Rate(30, per: .seconds(60), burst: 20)
    private static let questionRate = Rate(600, per: .seconds(60), burst: 200)

    init(auth: AuthClient, ping: WebPing, clock: any Clock) {
        self.auth = auth
        self.ping = ping
        self.clock = clock
        secrets = Lock(RateLimiter([Self.secretRate], now: clock.now()))
        questions = Lock(RateLimiter([Self.questionRate], now: clock.now()))
    }

    func router() -> HTTPRouter {
        var router = HTTPRouter()
        router.add(.get, "/v1/ping") { [self] request in
            try admit(request, questions)
            return .json(try JSONText.encodeBytes(ping))
        }
        router.add(.get, "/web/newuser/:token") { [self] request in
            try admit(request, questions)
            return .text(
                """
                You are invited to the cluster \(ping.cluster).

                Choose a password and enrol a second factor with:

                    tsh signup https://\(ping.webAddr)/web/newuser/\(Self.printable(request.parameter("token")))

                """)
        }
        pass(Endpoints.ping, in: &router, questions)
        pass(Endpoints.tlsAuthority, in: &router, questions)
        pass(Endpoints.register, in: &router, secrets)
        pass(Endpoints.login, in: &router, secrets)
        pass(Endpoints.describeSignup, in: &router, secrets)
        pass(Endpoints.completeSignup, in: &router, secrets)
        pass(Endpoints.exchangeTrust, in: &router, secrets)
        return router
    }

    /// Decodes before it passes on, so that nothing but the fields of the call reaches the auth server.
    private func pass<Request, Response>(
        _ endpoint: Endpoint<Request, Response>, in router: inout HTTPRouter, _ limiter: Lock<RateLimiter<IPAddress>>
    ) {
        router.add(.post, endpoint.path, bodyBytesMax: Endpoints.requestBytesMax) { [self] request in
            try admit(request, limiter)
            let body: Request
            do { body = try JSONText.decode(Request.self, from: request.body) } catch {
                throw TeleportError.badParameter("the request cannot be read", cause: error)
            }
            return .json(try JSONText.encodeBytes(try await auth.call(endpoint, body)))
        }
    }

    private func admit(_ request: HTTPRequest, _ limiter: Lock<RateLimiter<IPAddress>>) throws(TeleportError) {
        guard let address = request.peerAddress.ip?.limited else { return }
        let now = clock.now()
        guard limiter.withLock({ $0.admit(address, now: now) }) else {
            throw .limitExceeded("too many requests from your address; wait a minute")
        }
    }

    /// What a token consists of; nothing else of the path is repeated.
    private static func printable(_ token: String) -> String {
        String(
            String.UnicodeScalarView(
                token.unicodeScalars.filter {
                    $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "-" || $0 == "_")
                }))
    }
}
