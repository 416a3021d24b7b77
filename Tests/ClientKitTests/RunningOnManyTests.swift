import ClientKit
import Testing

@Suite("A command on many nodes")
struct RunningOnManyTests {
    @Test func `so many at once, all in the end, and the worst status counts`() {
        var running: [(name: String, done: (Int32) -> Void)] = []
        var atOnceMax = 0
        var worst: Int32?
        let fleet = Fleet((0..<40).map { "n\($0)" }, atOnce: 16) { name, done in
            running.append((name, done))
            atOnceMax = max(atOnceMax, running.count)
        } then: {
            worst = $0
        }
        fleet.start()
        var finished = 0
        while !running.isEmpty {
            #expect(worst == nil)
            let next = running.removeFirst()
            finished += 1
            next.done(next.name == "n7" ? 255 : next.name == "n3" ? 2 : 0)
        }
        #expect(finished == 40 && atOnceMax == 16 && worst == 255)
    }

    @Test func `an end that comes at once is an end all the same`() {
        var worst: Int32?
        Fleet(["a", "b"], atOnce: 1) { name, done in
            done(name == "a" ? 3 : 0)
        } then: {
            worst = $0
        }.start()
        #expect(worst == 3)
    }

    @Test func `every line bears the node's name, however it is cut`() {
        let text = "one\ntwo\n\nthree"
        for piece in 1...text.utf8.count {
            var prefix = LinePrefix("db1")
            var output: [UInt8] = []
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                output += prefix.feed(Array(rest.prefix(piece)))
                rest = rest.dropFirst(piece)
            }
            output += prefix.finish()
            #expect(String(decoding: output, as: UTF8.self) == "db1: one\ndb1: two\ndb1: \ndb1: three\n")
        }
    }
}
