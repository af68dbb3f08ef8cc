/** Who asks the admin side. */
export interface AdminCaller {
  /** For the audit: the name given at the sign-in, the subject of the certificate, else how it came in. */
  readonly who: string
  /** False = it may look at everything and change nothing. */
  readonly canWrite: boolean
  /** `open`: whoever reaches the address may use it. */
  readonly via: 'token' | 'session' | 'certificate' | 'open'
}

/** `GET /api/session`. */
export interface SessionView {
  readonly who: string
  readonly canWrite: boolean
  readonly via: AdminCaller['via']
  /** A token is needed here, so there is something to sign out from. */
  readonly hasSignIn: boolean
}

/** What a sign-in brings. */
export interface SignedIn {
  readonly caller: AdminCaller
  /** Values of `Set-Cookie`; none = nobody has to sign in here. */
  readonly cookies: readonly string[]
  /** ms since the epoch; absent = no cookie was given. */
  readonly expiresAt?: number
}

/** Sign-in of browsers, which cannot send a token when somebody follows a link. */
export interface AdminSessions {
  /** Undefined = it is not the token. `by`: who it is, as they say. `host`: the Host of the request. */
  signIn(token: string, by: string | undefined, host: string): SignedIn | undefined
  /** `Set-Cookie` that ends it. */
  signOut(host: string): string
  readonly isNeeded: boolean
}
