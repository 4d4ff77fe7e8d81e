// An OpenID provider on loopback: `node provider.mjs PORT REDIRECT_URI SIGNED_OUT_URI`. Whoever names itself is let in;
// "olaf" is in the group operators, "ada" in admins, anybody else in none.
import Provider from "oidc-provider";

const [port, redirect, signedOut] = process.argv.slice(2);
const groups = { olaf: ["operators"], ada: ["admins", "operators"] };
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: "secondread",
      client_secret: "a secret of the test",
      redirect_uris: [redirect],
      post_logout_redirect_uris: [signedOut],
    },
  ],
  claims: { openid: ["sub"], profile: ["preferred_username", "groups"] },
  pkce: { required: () => true },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("listening"));
