/** Random choices that a seed decides: the same seed makes the same choices in the same order. */

export class Random {
  #state;

  constructor(seed) {
    this.#state = seed >>> 0;
  }

  /** A generator of its own for each purpose, so that more choices in one place do not shift those in another. */
  static for(seed, ...purpose) {
    let hash = 2166136261 ^ seed;
    for (const letter of purpose.join('/')) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
    return new Random(hash);
  }

  /** From 0 (included) to 1 (not). mulberry32. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from `low` to `high`, both included. */
  between(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(probability) {
    return this.next() < probability;
  }

  /** One of a list. */
  one(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** One of `[weight, value]` pairs. */
  weighted(pairs) {
    let at = this.next() * pairs.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, value] of pairs) {
      at -= weight;
      if (at < 0) return value;
    }
    return pairs.at(-1)[1];
  }
}
