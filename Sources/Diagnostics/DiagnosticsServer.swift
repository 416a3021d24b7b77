package import Base
internal import ClusterModel
package import EventLoop
internal import HTTPServer
package import Logging

/// Plain HTTP for those who watch a process; whoever reaches the address may ask.
///
///     GET /healthz   200 while every loop turns, 503 where one has not answered for 5 s
///     GET /readyz    200 where every part can do its work, 400 while one is starting or recovering, 503 where one cannot
///     GET /metrics   figures for Prometheus
///
/// It runs on a loop and a thread of its own, so that it can tell when the others hang.
package final class DiagnosticsServer: Sendable {
    /// Where it listens, with the port that the kernel chose where 0 was asked for.
    package let address: SocketAddress
    private let eventLoop: EventLoop
    private let server: LoopBound<HTTPServer>

    /// A scraper, a balancer and a person; the rest is somebody who fills the table.
    private static let connectionsMax = 64
    private static let connectionsPerAddressMax = 16
    private static let headerBytesMax = 8 << 10
    /// For answers that are under way when the process ends.
    private static let closingTime: Duration = .milliseconds(500)

    /// - Parameter loops: all that the process runs.
    package static func start(
        on address: SocketAddress, loops: [EventLoop], diagnostics: Diagnostics, version: String, clock: any Clock, logger: Logger
    ) async throws(TeleportError) -> DiagnosticsServer {
        if address.ip?.isLoopback != true {
            logger.warning(
                "diagnostics are served to whoever reaches their address, without authentication", metadata: ["address": "\(address)"])
        }
        let eventLoop = EventLoop(name: "diagnostics", logger: logger)
        eventLoop.start()
        let server = LoopBound<HTTPServer>(eventLoop)
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<SocketAddress, TeleportError>, Never>) in
            eventLoop.post { loop in
                let survey = LoopBound(LoopSurvey(loops, diagnostics, on: loop.inside), on: loop.inside)
                let routes = DiagnosticsRoutes(diagnostics, survey, version: version)
                var configuration = HTTPServerConfiguration(identity: nil)
                configuration.limits.connectionsMax = connectionsMax
                configuration.limits.connectionsPerAddressMax = connectionsPerAddressMax
                configuration.limits.headerBytesMax = headerBytesMax
                do throws(TeleportError) {
                    let opened = try HTTPServer(configuration, router: routes.router(), clock: clock, on: loop.inside, logger: logger)
                    server.set(opened, on: loop)
                    continuation.resume(returning: .success(try opened.listen(on: address)))
                } catch {
                    continuation.resume(
                        returning: .failure(TeleportError(error.kind, "diagnostics cannot be served: \(error.message)", cause: error)))
                }
            }
        }
        do throws(TeleportError) {
            let made = DiagnosticsServer(try result.get(), eventLoop, server)
            logger.info("diagnostics are served", metadata: ["address": "\(made.address)"])
            return made
        } catch {
            await close(server, eventLoop)
            throw error
        }
    }

    private init(_ address: SocketAddress, _ eventLoop: EventLoop, _ server: LoopBound<HTTPServer>) {
        self.address = address
        self.eventLoop = eventLoop
        self.server = server
    }

    /// Ends when nothing of the server is left.
    package func close() async {
        await Self.close(server, eventLoop)
    }

    private static func close(_ server: LoopBound<HTTPServer>, _ eventLoop: EventLoop) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            eventLoop.post { loop in
                guard let open = server.value(on: loop) else { return continuation.resume() }
                server.set(nil, on: loop)
                open.close(grace: closingTime) { continuation.resume() }
            }
        }
        eventLoop.stop()
    }
}
