import Base
import Diagnostics
import EventLoop
import HTTPClient
import MetricsReader
import Testing

@Suite("Diagnostics over HTTP", .serialized, .timeLimit(.minutes(5)))
struct DiagnosticsServerTests {
    @Test func `a process whose loops turn is healthy`() async throws {
        let process = try await WatchedProcess()
        let answer = try await process.get("/healthz")
        #expect(answer.status == 200 && answer.text == #"{"status":"ok"}"#)
        #expect(answer.header("content-type") == "application/json")
    }

    @Test func `a loop that hangs is named, and the answer comes again when it turns`() async throws {
        let process = try await WatchedProcess()
        let gate = try Gate()
        process.loops[1].post { _ in gate.wait() }
        let first = try await process.get("/healthz")
        #expect(first.status == 503 && first.text == #"{"reasons":["the loop loop-1 has not answered for 5 s"],"status":"stuck"}"#)
        // It is asked once: who asks again need not wait.
        let figures = try await process.get("/metrics")
        #expect(figures.status == 503 && figures.text == "the loop loop-1 has not answered for 5 s\n")
        gate.open()
        #expect(try await process.answers(200, to: "/healthz"))
    }

    @Test func `readiness is the report of this moment, with a status for balancers`() async throws {
        let process = try await WatchedProcess()
        #expect(try await process.get("/readyz").text == #"{"components":{},"status":"starting"}"#)
        process.diagnostics.change { $0.meet("all", of: .proxy) }
        let ready = try await process.get("/readyz")
        #expect(ready.status == 200 && ready.text == #"{"components":{"proxy":{"reasons":[],"status":"ok"}},"status":"ok"}"#)
        process.diagnostics.change { $0.fail("all", of: .proxy, "the auth server does not answer") }
        let degraded = try await process.get("/readyz")
        #expect(degraded.status == 503)
        #expect(
            degraded.text
                == #"{"components":{"proxy":{"reasons":["the auth server does not answer"],"status":"degraded"}},"status":"degraded"}"#)
        process.diagnostics.change { $0.expect("hub", of: .tunnels, "no tunnel yet") }
        process.diagnostics.change { $0.meet("all", of: .proxy) }
        #expect(try await process.get("/readyz").status == 400)
    }

    @Test func `the figures of every loop and of the process are in Prometheus' format`() async throws {
        let process = try await WatchedProcess()
        let metric = Metric(.gauge, "teleport_test", "Of this test.")
        for loop in process.loops {
            process.diagnostics.measure(try await loop.bound { _ in 2 }) { value, metrics in metrics.add(metric, value) }
        }
        process.diagnostics.measure { metrics in metrics.add(metric, 1) }
        let answer = try await process.get("/metrics")
        #expect(answer.status == 200 && answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8")
        let reading = try MetricsReading(answer.text)
        #expect(reading.value("teleport_test") == 5)
        #expect(reading.value("teleport_build_info", ["version": "1.2.3"]) == 1)
        for loop in ["main", "loop-1"] {
            #expect(try #require(reading.value("teleport_loop_delay_seconds", ["loop": loop])) >= 0)
            #expect(reading.value("teleport_loop_cpu_seconds_total", ["loop": loop]) != nil)
            #expect(reading.value("teleport_loop_slow_callbacks_total", ["loop": loop]) != nil)
        }
        let resident = try #require(reading.value("process_resident_memory_bytes"))
        #expect(resident > 0x1p20 && resident < 0x1p40)
        #expect(try #require(reading.value("process_virtual_memory_bytes")) >= resident)
        #expect(try #require(reading.value("process_open_fds")) >= 3)
        #expect(try #require(reading.value("process_max_fds")) >= 64)
        #expect(try #require(reading.value("process_threads")) >= 3)
        #expect(try #require(reading.value("process_cpu_seconds_total")) > 0)
        let age = Double(SystemClock().wallTime().seconds) - (try #require(reading.value("process_start_time_seconds")))
        #expect(age > -2 && age < 86_400)
        #expect(try #require(reading.value("teleport_heap_used_bytes")) > 0)
    }

    @Test func `nothing but GET and HEAD of the three paths is served`() async throws {
        let process = try await WatchedProcess()
        for path in ["/healthz", "/readyz", "/metrics"] {
            for method in [HTTPClientRequest.Method.post, .put, .delete] {
                let answer = try await process.send(method, path)
                #expect(answer.status == 405 && answer.header("allow") == "GET, HEAD", "\(method) \(path)")
            }
            let head = try await process.send(.head, path)
            #expect(head.status != 405 && head.body.isEmpty && head.header("content-length") != "0", "\(path)")
        }
        for path in ["/", "/debug/pprof", "/metrics/", "/healthz/x"] { #expect(try await process.get(path).status == 404, "\(path)") }
    }

    @Test func `one address holds so many connections and no more`() async throws {
        let process = try await WatchedProcess()
        #expect(try await process.answer(beside: 15).hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(try await process.answer(beside: 16).isEmpty)
    }

    @Test func `a header that is too long ends the connection, and nothing else`() async throws {
        let process = try await WatchedProcess()
        let filler = HTTPField("X-Filler", String(repeating: "a", count: 10_000))
        await #expect(throws: TeleportError.self) { try await process.send(.get, "/healthz", headers: [filler]) }
        #expect(try await process.get("/healthz").status == 200)
    }
}
