// The token bucket before the PodResources server: 100 calls a second, 10 at once, shared by all clients
// (pkg/kubelet/apis/podresources/grpc/ratelimit.go, constants.go).

const callsPerSecond = 100
const burst = 10

export class RateLimit {
  readonly #nowMs: () => number
  #tokens = burst
  #filledAtMs: number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.#filledAtMs = nowMs()
  }

  allows(): boolean {
    const nowMs = this.#nowMs()
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#filledAtMs) * callsPerSecond) / 1000)
    this.#filledAtMs = nowMs
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}
