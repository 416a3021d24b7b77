internal import CLibuv
internal import Glibc
package import Logging

/// The loops of a process, by default one for each core: the first belongs to the main thread, the others to threads of their own.
///
/// Connections live on whichever loop accepted them; signals and everything that there is once in a process live on the first.
package final class LoopGroup: Sendable {
    package let loops: [EventLoop]

    /// The cores that this process may use (`taskset`, control groups).
    package static var coreCount: Int { Int(uv_available_parallelism()) }

    /// - Parameter logger: is told of callbacks that hold a loop for too long.
    package init(count: Int = coreCount, logger: Logger? = nil) {
        precondition(count > 0, "a process has a loop")
        loops = (0..<count).map { EventLoop(name: $0 == 0 ? "main" : "loop-\($0)", logger: logger) }
    }

    package var main: EventLoop { loops[0] }

    /// The calling thread becomes the first loop's until that one is stopped; then the others are stopped, and have ended when this returns.
    package func run() {
        let others = loops.dropFirst()
        let threads = others.map { $0.startThread() }
        main.run()
        for loop in others { loop.stop() }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Makes one of something on each loop, in the order of the loops.
    package func each<Value>(_ make: @Sendable (Loop) throws -> Value) async throws -> PerLoop<Value> {
        var values: [LoopBound<Value>] = []
        for loop in loops { values.append(try await loop.bound(make)) }
        return PerLoop(values: values)
    }
}

/// One of something on each loop of a group.
package struct PerLoop<Value>: Sendable {
    package let values: [LoopBound<Value>]

    /// The one of this loop.
    package func value(on eventLoop: isolated EventLoop) -> Value? {
        values.first { $0.eventLoop === eventLoop }?.value(on: eventLoop)
    }

    /// Runs `body` with each of them on its loop, in the order of the calls.
    package func forEach(_ body: @escaping @Sendable (Value) -> Void) {
        for bound in values {
            bound.eventLoop.post { loop in
                if let value = bound.value(on: loop) { body(value) }
            }
        }
    }
}
