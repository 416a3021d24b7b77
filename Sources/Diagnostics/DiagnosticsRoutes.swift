internal import Base
internal import ClusterModel
internal import EventLoop
internal import HTTPServer

/// What is answered at each path of a ``DiagnosticsServer``.
struct DiagnosticsRoutes: Sendable {
    private let diagnostics: Diagnostics
    private let survey: LoopBound<LoopSurvey>
    private let version: String

    private struct Health: Encodable {
        let status: String
        var reasons: [String]?
    }

    init(_ diagnostics: Diagnostics, _ survey: LoopBound<LoopSurvey>, version: String) {
        self.diagnostics = diagnostics
        self.survey = survey
        self.version = version
    }

    func router() -> HTTPRouter {
        var router = HTTPRouter()
        router.add(.get, "/healthz") { _ in
            switch await ask() {
            case .figures: try Self.json(Health(status: "ok"), status: 200)
            case .missing(let loops): try Self.json(Health(status: "stuck", reasons: loops.map(Self.missing)), status: 503)
            }
        }
        router.add(.get, "/readyz") { _ in
            let report = diagnostics.report
            return try Self.json(report, status: report.status.httpStatus)
        }
        router.add(.get, "/metrics") { _ in
            switch await ask() {
            case .figures(var metrics):
                diagnostics.addShared(to: &metrics)
                metrics.add(.buildInfo, 1, ["version": version])
                for (component, part) in diagnostics.report.components.sorted(by: { $0.key < $1.key }) {
                    metrics.add(.ready, part.status == .ok ? 1 : 0, ["component": component])
                }
                metrics.add(try ProcessUsage.read())
                return HTTPResponse(contentType: Metrics.contentType, body: Array(metrics.text.utf8))
            case .missing(let loops):
                return .text(loops.map { Self.missing($0) + "\n" }.joined(), status: 503)
            }
        }
        return router
    }

    private func ask() async -> LoopSurvey.Answer {
        let survey = survey
        return await withCheckedContinuation { continuation in
            survey.eventLoop.post { loop in
                guard let asked = survey.value(on: loop) else { return continuation.resume(returning: .missing([])) }
                asked.ask { continuation.resume(returning: $0) }
            }
        }
    }

    private static func missing(_ loop: String) -> String {
        "the loop \(loop) has not answered for \(LoopSurvey.timeMax.components.seconds) s"
    }

    private static func json(_ body: some Encodable, status: Int) throws -> HTTPResponse {
        .json(try JSONText.encodeBytes(body), status: status)
    }
}

extension Metrics {
    fileprivate mutating func add(_ usage: ProcessUsage) {
        add(.processorSeconds, usage.processorSeconds)
        add(.startTime, usage.startTime)
        add(.residentBytes, usage.residentBytes)
        add(.virtualBytes, usage.virtualBytes)
        add(.heapBytes, usage.heapBytes)
        add(.heapReservedBytes, usage.heapReservedBytes)
        add(.descriptors, usage.descriptors)
        add(.descriptorsMax, usage.descriptorsMax)
        add(.threads, usage.threads)
    }
}

extension Metric {
    fileprivate static let buildInfo = Metric(.gauge, "teleport_build_info", "Always 1; its labels say what runs.")
    fileprivate static let ready = Metric(
        .gauge, "teleport_ready", "1 where a part of the process can do its work, as /readyz says, else 0.")
    fileprivate static let processorSeconds = Metric(.counter, "process_cpu_seconds_total", "User and system time.")
    fileprivate static let startTime = Metric(.gauge, "process_start_time_seconds", "When the process began, in seconds since 1970.")
    fileprivate static let residentBytes = Metric(.gauge, "process_resident_memory_bytes", "Memory that is resident.")
    fileprivate static let virtualBytes = Metric(.gauge, "process_virtual_memory_bytes", "Address space that is taken.")
    fileprivate static let heapBytes = Metric(.gauge, "teleport_heap_used_bytes", "What the allocator has given out.")
    fileprivate static let heapReservedBytes = Metric(.gauge, "teleport_heap_reserved_bytes", "What the allocator holds.")
    fileprivate static let descriptors = Metric(.gauge, "process_open_fds", "Open file descriptors.")
    fileprivate static let descriptorsMax = Metric(.gauge, "process_max_fds", "How many file descriptors there may be.")
    fileprivate static let threads = Metric(.gauge, "process_threads", "Threads of the process.")
}
