import Base
@testable import HTTPServer
import Testing

@Suite("HTTPRouter")
struct HTTPRouterTests {
    private func found(_ method: HTTPRequest.Method, _ path: String) -> String {
        var router = HTTPRouter()
        router.add(.get, "/v1/nodes") { _ in .text("") }
        router.add(.post, "/v1/nodes") { _ in .text("") }
        router.add(.get, "/v1/nodes/:id") { _ in .text("") }
        router.add(.get, "/v1/nodes/self") { _ in .text("") }
        router.add(.get, "/") { _ in .text("") }
        switch router.match(method, path) {
        case .route(let route, let parameters):
            return "/" + route.segments.joined(separator: "/") + (parameters["id"].map { " \($0)" } ?? "")
        case .otherMethods(let methods): return methods.map(\.rawValue).joined(separator: " ")
        case .none: return "none"
        }
    }

    @Test(arguments: [
        (HTTPRequest.Method.get, "/v1/nodes", "/v1/nodes"), (.head, "/v1/nodes", "/v1/nodes"), (.get, "/v1/nodes/7", "/v1/nodes/:id 7"),
        (.get, "/v1/nodes/self", "/v1/nodes/self"), (.get, "/", "/"), (.get, "/v1/nodes/", "none"), (.get, "/v1/nodes/7/x", "none"),
        (.get, "//v1/nodes", "none"), (.delete, "/v1/nodes", "GET HEAD POST"), (.post, "/v1/nodes/7", "GET HEAD"), (.get, "/v2", "none"),
    ])
    func `finds the route by method and segments`(method: HTTPRequest.Method, path: String, expected: String) {
        #expect(found(method, path) == expected)
    }
}
