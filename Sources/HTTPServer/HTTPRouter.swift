/// Method and path to handler.
///
/// A pattern is a path whose segments may be `:name`, which takes any one segment that is not empty. A literal segment goes before a name.
package struct HTTPRouter: Sendable {
    /// Runs as a task on the server's loop. A ``TeleportError`` becomes its error body; any other error is ours and tells the client nothing.
    package typealias Handler = @Sendable (HTTPRequest) async throws -> HTTPResponse

    struct Route: Sendable {
        let method: HTTPRequest.Method
        let segments: [String]
        let bodyBytesMax: Int
        let handler: Handler
    }

    enum Match {
        case route(Route, parameters: [String: String])
        /// The path is known for other methods.
        case otherMethods([HTTPRequest.Method])
        case none
    }

    private var routes: [Route] = []

    /// What a request of the APIs needs at most: a page of certificates.
    package static let bodyBytesMax = 1 << 20

    package init() {}

    /// - Parameter bodyBytesMax: a longer body is answered 413 before it has been read.
    package mutating func add(
        _ method: HTTPRequest.Method, _ pattern: String, bodyBytesMax: Int = HTTPRouter.bodyBytesMax, _ handler: @escaping Handler
    ) {
        precondition(pattern.hasPrefix("/"), "the pattern \(pattern) does not begin with a slash")
        routes.append(Route(method: method, segments: Self.segments(pattern), bodyBytesMax: bodyBytesMax, handler: handler))
    }

    func match(_ method: HTTPRequest.Method, _ path: String) -> Match {
        let segments = Self.segments(path)
        var best: (route: Route, names: Int)?
        var others: Set<HTTPRequest.Method> = []
        for route in routes where Self.matches(route.segments, segments) {
            // HEAD is GET without the body (RFC 9110 §9.3.2).
            guard route.method == method || (method == .head && route.method == .get) else {
                others.insert(route.method)
                continue
            }
            let names = route.segments.count { $0.hasPrefix(":") }
            if best.map({ names < $0.names }) ?? true { best = (route, names) }
        }
        guard let best else {
            if others.contains(.get) { others.insert(.head) }
            return others.isEmpty ? .none : .otherMethods(others.sorted { $0.rawValue < $1.rawValue })
        }
        var parameters: [String: String] = [:]
        for (pattern, segment) in zip(best.route.segments, segments) where pattern.hasPrefix(":") {
            parameters[String(pattern.dropFirst())] = segment
        }
        return .route(best.route, parameters: parameters)
    }

    private static func segments(_ path: String) -> [String] {
        path.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    private static func matches(_ pattern: [String], _ segments: [String]) -> Bool {
        pattern.count == segments.count
            && zip(pattern, segments).allSatisfy { pattern, segment in pattern.hasPrefix(":") ? !segment.isEmpty : pattern == segment }
    }
}
