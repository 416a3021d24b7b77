import ClientKit
import Testing

@Suite("A profile of latencies")
struct LatencyProfileTests {
    @Test(arguments: [1, 127, 128, 255, 256, 1_000, 123_456, 9_876_543_210, Int64.max])
    func `a duration comes back with an error of less than one per cent`(nanoseconds: Int64) {
        var profile = LatencyProfile()
        profile.record(.nanoseconds(nanoseconds))
        // So that the longest does not hide what the bucket says.
        if nanoseconds < .max / 2 {
            profile.record(.nanoseconds(nanoseconds * 2))
        }
        let found = profile.percentile(50)
        #expect(found >= .nanoseconds(nanoseconds))
        #expect(found - .nanoseconds(nanoseconds) <= .nanoseconds(nanoseconds / 100))
    }

    @Test func `percentiles are what so many did not exceed`() {
        var profile = LatencyProfile()
        for milliseconds in 1...200 { profile.record(.milliseconds(milliseconds)) }
        for (percent, milliseconds) in [(25, 50), (50, 100), (99, 198), (100, 200)] {
            let found = profile.percentile(percent)
            #expect(found >= .milliseconds(milliseconds) && found < .milliseconds(milliseconds) * 1.01, "p\(percent) is \(found)")
        }
        #expect(profile.count == 200 && profile.longest == .milliseconds(200))
    }

    @Test func `nothing has taken no time`() {
        #expect(LatencyProfile().percentile(99) == .zero)
    }
}
