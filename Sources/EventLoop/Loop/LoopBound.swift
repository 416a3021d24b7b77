internal import Base

/// Holds what lives on a loop for code that may run elsewhere: only code isolated to that loop gets at it.
///
/// Crosses threads as a reference alone; the value is set, read and released on the loop's thread.
package final class LoopBound<Value>: @unchecked Sendable {
    package let eventLoop: EventLoop
    private let box: Box

    private final class Box: @unchecked Sendable {
        var value: Value?
    }

    package init(_ eventLoop: EventLoop) {
        self.eventLoop = eventLoop
        box = Box()
    }

    package convenience init(_ value: Value, on loop: Loop) {
        self.init(loop.eventLoop)
        box.value = value
    }

    deinit {
        let box = box
        eventLoop.post { _ in box.value = nil }
    }

    package func value(on eventLoop: isolated EventLoop) -> Value? {
        precondition(eventLoop === self.eventLoop, "a value of another loop")
        return box.value
    }

    package func set(_ value: Value?, on eventLoop: isolated EventLoop) {
        precondition(eventLoop === self.eventLoop, "a value of another loop")
        box.value = value
    }
}

/// A reference that does not keep its object, for those who may know it longer than it lives.
package struct Weak<Object: AnyObject> {
    package private(set) weak var object: Object?

    package init(_ object: Object) {
        self.object = object
    }
}
