/// The loop as the executor of its actor.
final class LoopExecutor: SerialExecutor {
    let queue: LoopQueue

    init(queue: LoopQueue) {
        self.queue = queue
    }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.enqueue(.isolated(UnownedJob(job)))
    }

    func checkIsolated() {
        precondition(queue.isOnThread, "this code belongs to the thread of its event loop")
    }

    func isIsolatingCurrentContext() -> Bool? { queue.isOnThread }
}

/// The loop as the preference of tasks: another object than the actor's executor, because the runtime tells jobs apart by it.
final class LoopTaskExecutor: TaskExecutor {
    let queue: LoopQueue

    init(queue: LoopQueue) {
        self.queue = queue
    }

    func enqueue(_ job: consuming ExecutorJob) {
        queue.enqueue(.preferring(UnownedJob(job)))
    }
}
