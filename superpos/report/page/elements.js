// Elements of the page, found and made.

/**
 * The element of that name, which page.html has or a script has made before.
 * @type {<T extends HTMLElement = HTMLElement>(id: string) => T}
 */
const byId = (id) => /** @type {any} */ (document.getElementById(id));

/**
 * The first element in another one that a selector names; there is one.
 * @type {<T extends HTMLElement = HTMLElement>(parent: ParentNode, selector: string) => T}
 */
const within = (parent, selector) => /** @type {any} */ (parent.querySelector(selector));

/**
 * An element with properties, attributes ("data-…", "aria-…", role, for) and children; text is
 * text, never HTML.
 * @type {<T extends keyof HTMLElementTagNameMap>(tag: T, properties?: Properties,
 *   ...children: Child[]) => HTMLElementTagNameMap[T]}
 */
function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else Object.assign(element, { [name]: value });
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** @type {(selector: string) => HTMLElement[]} */
const elements = (selector) => /** @type {any} */ ([...document.querySelectorAll(selector)]);
