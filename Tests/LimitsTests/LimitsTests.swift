import Base
import Limits
import Testing

private func at(_ milliseconds: UInt64) -> Instant {
    Instant(nanoseconds: 1_000_000_000 + milliseconds * 1_000_000)
}

@Suite("TokenBucket")
struct TokenBucketTests {
    @Test func `a burst goes through at once, then one an interval`() {
        var bucket = TokenBucket(Rate(10, per: .seconds(1), burst: 3), now: at(0))
        #expect((0..<5).map { _ in bucket.take(now: at(0)) } == [true, true, true, false, false])
        #expect(bucket.wait(now: at(0)) == .milliseconds(100))
        #expect(bucket.take(now: at(99)) == false)
        #expect(bucket.take(now: at(100)) == true)
        #expect(bucket.take(now: at(199)) == false)
        #expect(bucket.take(now: at(200)) == true)
    }

    @Test func `it fills to the burst and no further`() {
        var bucket = TokenBucket(Rate(1, per: .seconds(1), burst: 2), now: at(0))
        #expect(bucket.isFull(now: at(0)))
        #expect(bucket.take(now: at(0)) == true)
        #expect(!bucket.isFull(now: at(999)))
        #expect(bucket.isFull(now: at(1000)))
        #expect((0..<3).map { _ in bucket.take(now: at(3_600_000)) } == [true, true, false])
    }

    @Test func `a refusal costs nothing`() {
        var bucket = TokenBucket(Rate(1, per: .seconds(1), burst: 1), now: at(0))
        #expect(bucket.take(now: at(0)) == true)
        for _ in 0..<1000 { #expect(bucket.take(now: at(500)) == false) }
        #expect(bucket.take(now: at(1000)) == true)
    }

    @Test func `the end of time does not trap`() {
        let end = Instant(nanoseconds: .max)
        var bucket = TokenBucket(Rate(1, per: .seconds(Int64.max / 2), burst: 1), now: at(0))
        #expect(bucket.take(now: end) == true)
        #expect(bucket.take(now: end) == true)
    }
}

@Suite("RateLimiter")
struct RateLimiterTests {
    static let rate = Rate(1, per: .seconds(1), burst: 2)

    @Test func `each key has its own bucket`() {
        var limiter = RateLimiter<String>([Self.rate], now: at(0))
        #expect((0..<3).map { _ in limiter.admit("a", now: at(0)) } == [true, true, false])
        #expect(limiter.admit("b", now: at(0)) == true)
        limiter.forget("a")
        #expect(limiter.admit("a", now: at(0)) == true)
    }

    @Test func `all rates hold, and one that refuses takes nothing from the others`() {
        var limiter = RateLimiter<Int>([Rate(100, per: .seconds(1), burst: 100), Rate(3, per: .seconds(60), burst: 3)], now: at(0))
        #expect((0..<5).map { _ in limiter.admit(1, now: at(0)) } == [true, true, true, false, false])
        #expect(limiter.admit(1, now: at(20_000)) == true)
        #expect(limiter.admit(1, now: at(20_000)) == false)
    }

    @Test func `no rate is no limit and no table`() {
        var limiter = RateLimiter<Int>([], now: at(0))
        for key in 0..<1000 { #expect(limiter.admit(key, now: at(0)) == true) }
        #expect(limiter.keyCount == 0)
    }

    @Test func `the table does not grow, and a flood of new keys neither gets far nor forgets the old`() {
        var limiter = RateLimiter<Int>([Self.rate], keysMax: 10, now: at(0))
        for key in 0..<10 { #expect(limiter.admit(key, now: at(0)) == true) }
        let admitted = (100..<1100).filter { limiter.admit($0, now: at(0)) }
        #expect(admitted.count == Self.rate.burst)
        #expect(limiter.keyCount == 10)
        #expect((0..<2).map { _ in limiter.admit(5, now: at(0)) } == [true, false])
    }

    @Test func `keys that have been quiet make room`() {
        var limiter = RateLimiter<Int>([Self.rate], keysMax: 10, now: at(0))
        for key in 0..<10 { #expect(limiter.admit(key, now: at(0)) == true) }
        #expect(limiter.admit(10, now: at(1000)) == true)
        #expect(limiter.keyCount == 1)
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
    ])
    func `an address is counted for its subscriber`(address: String, subscriber: String) throws {
        #expect(try #require(IPAddress(address)).limited == IPAddress(subscriber))
    }
}
