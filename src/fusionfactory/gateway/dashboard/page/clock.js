// One clock for the open panel: every two seconds, and not at all while the page is hidden.

const EVERY_MS = 2000;
const LONGEST_MS = 30000;

/** Runs `work` now and then; `told(error)` hears of every end, with null where all went well. */
export class Clock {
  constructor(work, told) {
    this.work = work;
    this.told = told;
    this.failures = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.now()));
  }

  pause() {
    clearTimeout(this.timer);
    this.round?.abort();
  }

  /** At once: the panel or its window changed, or the page is seen again. */
  now() {
    this.pause();
    this.#tick();
  }

  async #tick() {
    const round = new AbortController();
    this.round = round;
    try {
      await this.work(round.signal);
      if (round.signal.aborted) return;
      this.failures = 0;
      this.told(null);
    } catch (error) {
      if (round.signal.aborted) return;
      this.failures += 1;
      this.told(error);
      if (error.status === 401 || error.status === 403) return;
    }
    if (document.hidden) return;
    const wait = Math.min(LONGEST_MS, EVERY_MS * 2 ** Math.min(this.failures, 8));
    this.timer = setTimeout(() => this.#tick(), this.failures ? wait : EVERY_MS);
  }
}
