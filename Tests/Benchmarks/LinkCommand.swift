import Base
import ClusterHarness
import EventLoop

/// `Benchmarks link MILLISECONDS HOST:PORT`: a line of that many milliseconds there and back to an address, until it is ended by a signal.
///
/// It says where it listens, as `{"link":"ADDRESS"}`, and of each connection that has ended how many round trips it took: `{"round-trips":N}`.
enum LinkCommand {
    static func run(_ arguments: [String]) throws {
        guard arguments.count == 2, let milliseconds = UInt16(arguments[0]), let place = HostPort(arguments[1]),
            let host = IPAddress(place.host)
        else { throw TeleportError.badParameter("usage: Benchmarks link MILLISECONDS ADDRESS:PORT") }
        let eventLoop = EventLoop(name: "link")
        let failure = Lock<TeleportError?>(nil)
        let held = Lock<LoopBound<DelayedLink>?>(nil)
        eventLoop.post { loop in
            do throws(TeleportError) {
                let link = try DelayedLink(
                    from: SocketAddress(.loopback4, port: 0), to: SocketAddress(host, port: place.port),
                    roundTrip: .milliseconds(Int64(milliseconds)), on: loop.inside
                ) { say("{\"round-trips\":\($0)}") }
                held.withLock { $0 = LoopBound(link, on: loop.inside) }
                say("{\"link\":\"\(link.address)\"}")
            } catch {
                failure.withLock { $0 = error }
                loop.stop()
            }
        }
        eventLoop.run()
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// At once: whoever reads it waits for it.
    private static func say(_ line: String) {
        try? FileIO.write(Array("\(line)\n".utf8), descriptor: 1)
    }
}
