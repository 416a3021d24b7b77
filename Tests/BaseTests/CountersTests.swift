import Base
import Testing

@Suite("Counters")
struct CountersTests {
    @Test func `counts add up, levels replace`() {
        let counters = Counters()
        counters.add("sessions")
        counters.add("sessions", 2)
        counters.set("tunnels", 7)
        counters.set("tunnels", 5)
        #expect(counters.snapshot == ["sessions": 3, "tunnels": 5])
        #expect(counters["nothing"] == 0)
    }

    @Test func `the table of names is bounded`() {
        let counters = Counters()
        for index in 0..<Counters.namesMax + 10 { counters.add("name\(index)") }
        #expect(counters.snapshot.count == Counters.namesMax)
        counters.add("name0")
        #expect(counters["name0"] == 2)
    }
}
