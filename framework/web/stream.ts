// Events of the server, read from a body as it comes. `EventSource` would not show the comments by which the daemon says that
// it is there, nor the status of a refusal.

export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

/** The longest event that is taken in, in characters. */
const MOST = 8 << 20;

/** Takes text as it comes and gives the events that are whole. Pure. */
export class Events {
  #rest = "";

  take(text: string): StreamEvent[] {
    this.#rest += text;
    if (this.#rest.length > MOST) throw new Error("an event without an end");
    const found: StreamEvent[] = [];
    for (;;) {
      const end = /\r?\n\r?\n/.exec(this.#rest);
      if (!end) return found;
      const block = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      let event = "message";
      const data: string[] = [];
      for (const line of block.split(/\r?\n/)) {
        const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) ?? [];
        if (name === "event") event = value ?? "";
        else if (name === "data") data.push(value ?? "");
      }
      if (data.length) found.push({ event, data: data.join("\n") });
    }
  }
}

/** Reads until the body ends; `heard` is told of every piece. Throws what `fetch` throws, and where nothing comes for `silentMs`. */
export async function read(body: ReadableStream<Uint8Array>, silentMs: number, heard: (events: StreamEvent[]) => void): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const events = new Events();
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const silence = new Promise<never>((_, no) => (timer = setTimeout(() => no(new Error("nothing comes any more")), silentMs)));
      try {
        const { done, value } = await Promise.race([reader.read(), silence]);
        if (done) return;
        heard(events.take(decoder.decode(value, { stream: true })));
      } finally {
        clearTimeout(timer);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
