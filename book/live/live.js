// The live pictures of the course: each <figure class="live" data-session='…'> becomes a picture that can be touched.
//
// The module with the program is read once, when the first picture comes near. Where anything fails, the still stays, and the caption says so (why, when it is pointed at).
// For scripts, a figure has figure.dataset.state ("loading", "running", "failed") and figure.baichuan2: { session(), reset() }.
"use strict";

(() => {
    const HERE = document.currentScript.src;

    const STYLE = `
        figure.live .live-frame {
            position: relative; height: var(--live-height, 420px); overflow: hidden; box-sizing: border-box;
            border: 1px solid var(--table-border-color, #8885); border-radius: 6px;
        }
        figure.live .live-frame > img { width: 100%; height: 100%; margin: 0; border: none; object-fit: contain; object-position: top left; }
        figure.live .live-frame > canvas {
            position: absolute; inset: 0; width: 100%; height: 100%; display: block; border: none; opacity: 0; transition: opacity 0.3s; touch-action: pan-y;
        }
        figure.live[data-state="running"] .live-frame > canvas { opacity: 1; }
        figure.live[data-state="running"] .live-frame > img { visibility: hidden; transition: visibility 0s 0.3s; }
        figure.live.live-held .live-frame { outline: 2px solid #5b8def; outline-offset: 1px; }
        figure.live.live-held .live-frame > canvas { touch-action: none; }
        figure.live .live-below { display: flex; justify-content: flex-end; min-height: 1.8em; }
        figure.live .live-below > button {
            visibility: hidden; font: inherit; font-size: 0.8em; color: inherit; opacity: 0.7; background: none;
            border: none; padding: 0.2em 0.4em; cursor: pointer; text-decoration: underline;
        }
        figure.live .live-below > button:hover { opacity: 1; }
        figure.live[data-state="running"] .live-below > button { visibility: visible; }
        @media print { figure.live .live-below { display: none; } }
    `;

    const WORDS = {
        en: { reset: "Back to the start", failed: "This picture stays still here." },
        zh: { reset: "回到开始", failed: "这幅图在这里是静止的。" },
    };

    const element = (name, properties, ...children) => {
        const made = Object.assign(document.createElement(name), properties);
        made.append(...children);
        return made;
    };

    // mdBook writes the name of its theme on <html>.
    const isDark = () => {
        const { classList } = document.documentElement;
        if (["coal", "navy", "ayu"].some(name => classList.contains(name))) return true;
        if (["light", "rust"].some(name => classList.contains(name))) return false;
        return matchMedia("(prefers-color-scheme: dark)").matches;
    };

    let module = null;

    // The program: its script is added to the page, and what lies in it is compiled.
    const load = () => {
        module ??= new Promise((resolve, reject) => {
            const script = element("script", { src: new URL("live-module.js", HERE).href });
            script.onload = resolve;
            script.onerror = () => reject(new Error("live-module.js is not beside live.js"));
            document.head.append(script);
        }).then(async () => {
            const letters = atob(baichuan2Module.bytes);
            baichuan2Module.bytes = null;
            const bytes = Uint8Array.from(letters, letter => letter.charCodeAt(0));
            await baichuan2Module({ module_or_path: bytes });
            return baichuan2Module;
        });
        return module;
    };

    const frame = () => new Promise(requestAnimationFrame);

    class Live {
        constructor(figure) {
            this.figure = figure;
            this.start = figure.dataset.session;
            this.kept = this.start;
            this.language = figure.dataset.language ?? document.documentElement.lang ?? "en";
            this.words = this.language.startsWith("zh") ? WORDS.zh : WORDS.en;
            this.picture = null;
            this.wanted = false;
            // One for the light and one for the dark, perhaps.
            const stills = [...figure.querySelectorAll("img")];
            this.frame = element("div", { className: "live-frame" });
            this.button = element("button", { type: "button", textContent: this.words.reset, onclick: () => this.reset() });
            const below = element("div", { className: "live-below" }, this.button);
            figure.prepend(this.frame);
            this.frame.append(...stills);
            this.frame.after(below);
            figure.baichuan2 = { session: () => this.session(), reset: () => this.reset() };
        }

        session() {
            return this.picture?.session() ?? this.kept;
        }

        reset() {
            this.kept = this.start;
            this.picture?.set_session(this.start);
        }

        // The picture is the page's to scroll over until it is pressed, and again once the pointer is elsewhere.
        hold(held) {
            this.figure.classList.toggle("live-held", held);
            this.picture?.hold(held);
        }

        async begin() {
            this.wanted = true;
            if (this.canvas) return;
            this.figure.dataset.state = "loading";
            const canvas = element("canvas", {});
            canvas.setAttribute("role", "img");
            const caption = this.figure.querySelector("figcaption")?.textContent.trim();
            canvas.setAttribute("aria-label", this.frame.querySelector("img")?.alt || caption || "");
            this.canvas = canvas;
            try {
                const { Picture } = await load();
                this.frame.append(canvas);
                // The program takes the keyboard when it begins; it belongs to who had it.
                const focused = document.activeElement;
                this.picture = await Picture.start(canvas, this.kept, this.language, isDark());
                if (this.frame.contains(document.activeElement)) {
                    document.activeElement.blur();
                    if (focused !== document.body) focused?.focus({ preventScroll: true });
                }
                // A finger that begins to scroll is taken back from the picture; one that is lifted from it was a tap.
                canvas.addEventListener("pointerdown", event => event.pointerType === "mouse" && this.hold(true), true);
                canvas.addEventListener("pointerup", () => this.hold(true), true);
                canvas.addEventListener("pointercancel", () => this.picture?.let_go());
                canvas.addEventListener("pointerleave", event => event.pointerType === "mouse" && event.buttons === 0 && this.hold(false));
                while (!this.picture.is_drawn()) {
                    if (this.figure.dataset.state === "failed") return;
                    await frame();
                }
                this.picture.set_dark(isDark());
                this.figure.dataset.state = "running";
            } catch (error) {
                this.fail(error);
            }
            if (!this.wanted) this.end();
        }

        // Far from the reader it costs nothing, and goes on where it was when it is near again.
        end() {
            this.wanted = false;
            if (this.figure.dataset.state !== "running") return;
            this.kept = this.session();
            this.hold(false);
            this.picture.end();
            this.picture.free();
            this.picture = null;
            this.canvas.remove();
            this.canvas = null;
            delete this.figure.dataset.state;
        }

        fail(error) {
            if (this.figure.dataset.state === "failed") return;
            this.figure.dataset.state = "failed";
            this.picture = null;
            this.canvas?.remove();
            const caption = this.figure.querySelector("figcaption") ?? this.figure.appendChild(element("figcaption", {}));
            const why = error?.message ?? String(error);
            caption.append(element("div", { className: "live-failed", textContent: this.words.failed, title: why }));
            console.warn("live picture:", why);
        }
    }

    const begin = () => {
        const figures = [...document.querySelectorAll("figure.live[data-session]")].map(figure => new Live(figure));
        if (figures.length === 0) return;
        document.head.append(element("style", { textContent: STYLE }));
        const of = new Map(figures.map(live => [live.figure, live]));
        const watch = (margin, act) => {
            const observer = new IntersectionObserver(
                entries => entries.forEach(entry => act(of.get(entry.target), entry.isIntersecting)),
                { rootMargin: margin },
            );
            figures.forEach(live => observer.observe(live.figure));
        };
        watch("50% 0px", (live, near) => near && live.begin());
        watch("300% 0px", (live, near) => near || live.end());
        new MutationObserver(() => figures.forEach(live => live.picture?.set_dark(isDark())))
            .observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
        document.addEventListener("pointerdown", event => {
            figures.forEach(live => live.canvas === event.target || live.hold(false));
        }, true);
        // A program that ended in the middle of something is of no use to any picture.
        addEventListener("error", event => {
            if (event.error instanceof WebAssembly.RuntimeError) figures.forEach(live => live.canvas && live.fail(event.error));
        });
    };

    begin();
})();
